"""Spanish."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

SPANISH = Words(
    failed_subject="Correo devuelto: su mensaje no se ha podido entregar",
    delayed_subject="Aviso: su mensaje lleva {age} sin poder entregarse",
    receipt_subject="Acuse de entrega",
    postmaster_subject="Aviso al administrador de correo: mensaje sin entregar",
    poison_subject="El mensaje {queue_id} ha quedado apartado",
    warning_box=(
        "    ***************************************************",
        "    **           ESTO ES SOLO UN AVISO.              **",
        "    **  NO ES NECESARIO QUE REENVÍE SU MENSAJE.      **",
        "    ***************************************************",
        "",
    ),
    received="El mensaje original se recibió el {date}",
    source="de {source}",
    failed_heading="No se ha podido entregar el mensaje a estas direcciones",
    receipt_heading="Hay confirmación de entrega para estas direcciones",
    transcript_heading="Transcripción de la sesión",
    reason="motivo: {text}",
    expanded_from="procedente de: {address}",
    talking_to="... en conversación con {host}:",
    deferred="Aplazado: {text}",
    delivered="entregado correctamente en el buzón",
    relayed="remitido a un servidor que no envía confirmaciones",
    expanded="remitido a los miembros de una lista de correo",
    delivered_transcript="Entregado correctamente",
    relayed_transcript="remitido; no habrá más notificaciones",
    expanded_transcript="remitido a una lista de correo",
    still_undelivered="Aviso: el mensaje sigue sin entregarse después de {age}.",
    keep_trying="Se seguirá intentando la entrega.",
    keep_trying_until=(
        "Se seguirá intentando la entrega hasta que el mensaje tenga una antigüedad de {limit}."
    ),
    gave_up="El mensaje no se ha podido entregar en {age}.",
    deleted="Se eliminará de la cola.",
    poison=(
        "No se ha podido procesar el mensaje {queue_id} de {sender}: en tres",
        "ocasiones se ha producido un error inesperado al trabajar con él.",
        "El mensaje permanece en la cola, pero no se volverá a intentar su envío.",
        "El registro da más detalles, y también esta orden:",
        "",
        "    relaynode why {queue_id}",
        "",
        'Una vez resuelta la causa, "relaynode release {queue_id}" reanuda el envío',
        'y "relaynode remove {queue_id}" borra el mensaje.',
    ),
    units=(
        ("{} día", "{} días"),
        ("{} hora", "{} horas"),
        ("{} minuto", "{} minutos"),
        ("{} segundo", "{} segundos"),
    ),
)
