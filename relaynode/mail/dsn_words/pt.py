"""Portuguese."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

PORTUGUESE = Words(
    failed_subject="Correio devolvido: não foi possível entregar a sua mensagem",
    delayed_subject="Aviso: a sua mensagem está por entregar há {age}",
    receipt_subject="Aviso de entrega",
    postmaster_subject="Aviso ao administrador de correio: mensagem por entregar",
    poison_subject="A mensagem {queue_id} foi posta de parte",
    warning_box=(
        "    ****************************************************",
        "    **          ISTO É APENAS UM AVISO.               **",
        "    **  NÃO PRECISA DE REENVIAR A SUA MENSAGEM.       **",
        "    ****************************************************",
        "",
    ),
    received="A mensagem original foi recebida em {date}",
    source="de {source}",
    failed_heading="Não foi possível entregar a mensagem a estes endereços",
    receipt_heading="Há confirmação de entrega para estes endereços",
    transcript_heading="Transcrição da sessão",
    reason="motivo: {text}",
    expanded_from="proveniente de: {address}",
    talking_to="... em conversa com {host}:",
    deferred="Adiado: {text}",
    delivered="entregue com êxito na caixa de correio",
    relayed="encaminhada para um servidor que não envia confirmações",
    expanded="encaminhada para os membros de uma lista de correio",
    delivered_transcript="Entregue com êxito",
    relayed_transcript="encaminhada; não haverá mais notificações",
    expanded_transcript="encaminhada para uma lista de correio",
    still_undelivered="Aviso: ao fim de {age}, a mensagem ainda não foi entregue.",
    keep_trying="As tentativas de entrega continuam.",
    keep_trying_until="As tentativas de entrega continuam até a mensagem ter {limit}.",
    gave_up="Não foi possível entregar a mensagem em {age}.",
    deleted="A mensagem vai ser eliminada da fila.",
    poison=(
        "Não foi possível tratar a mensagem {queue_id} de {sender}: por três vezes",
        "ocorreu um erro inesperado durante o seu processamento.",
        "A mensagem fica na fila, mas não se voltará a tentar enviá-la.",
        "O registo diz mais; este comando também:",
        "",
        "    relaynode why {queue_id}",
        "",
        'Corrigida a causa, "relaynode release {queue_id}" retoma o envio e',
        '"relaynode remove {queue_id}" apaga a mensagem.',
    ),
    units=(
        ("{} dia", "{} dias"),
        ("{} hora", "{} horas"),
        ("{} minuto", "{} minutos"),
        ("{} segundo", "{} segundos"),
    ),
)
