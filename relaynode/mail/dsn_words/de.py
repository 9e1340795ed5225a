"""German."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

GERMAN = Words(
    failed_subject="Unzustellbar: Ihre Nachricht konnte nicht ausgeliefert werden",
    delayed_subject="Warnung: Ihre Nachricht ist seit {age} nicht zugestellt",
    receipt_subject="Zustellbestätigung",
    postmaster_subject="Hinweis an den Postmaster: unzustellbare Nachricht",
    poison_subject="Nachricht {queue_id} wurde zurückgestellt",
    warning_box=(
        "    ************************************************************",
        "    **             DIES IST NUR EINE WARNUNG.                 **",
        "    **  SIE MÜSSEN IHRE NACHRICHT NICHT NOCH EINMAL SENDEN.   **",
        "    ************************************************************",
        "",
    ),
    received="Die ursprüngliche Nachricht ist hier eingegangen: {date}",
    source="von {source}",
    failed_heading="An diese Adressen konnte die Nachricht nicht zugestellt werden",
    receipt_heading="Für diese Adressen liegt eine Bestätigung vor",
    transcript_heading="Mitschrift der Übertragung",
    reason="Grund: {text}",
    expanded_from="umgesetzt aus: {address}",
    talking_to="... im Gespräch mit {host}:",
    deferred="Aufgeschoben: {text}",
    delivered="erfolgreich in das Postfach zugestellt",
    relayed="weitergereicht an einen Server, der keine Bestätigungen ausstellt",
    expanded="an die Mitglieder einer Verteilerliste weitergereicht",
    delivered_transcript="Erfolgreich zugestellt",
    relayed_transcript="weitergereicht; weitere Bestätigungen sind nicht zu erwarten",
    expanded_transcript="an eine Verteilerliste weitergereicht",
    still_undelivered="Warnung: Die Nachricht konnte seit {age} nicht zugestellt werden.",
    keep_trying="Die Zustellung wird weiter versucht.",
    keep_trying_until="Die Zustellung wird weiter versucht, bis zu einem Alter von {limit}.",
    gave_up="Die Nachricht konnte innerhalb von {age} nicht zugestellt werden.",
    deleted="Sie wird aus der Warteschlange gelöscht.",
    poison=(
        "Die Nachricht {queue_id} von {sender} konnte nicht bearbeitet werden:",
        "Dreimal ist dabei ein unerwarteter Fehler aufgetreten. Sie bleibt in der",
        "Warteschlange, es wird aber nicht mehr versucht, sie zuzustellen.",
        "Näheres steht im Protokoll; auch dieser Befehl gibt Auskunft:",
        "",
        "    relaynode why {queue_id}",
        "",
        'Ist die Ursache behoben, so gibt "relaynode release {queue_id}" die Nachricht',
        'wieder frei; "relaynode remove {queue_id}" löscht sie.',
    ),
    units=(
        ("{} Tag", "{} Tagen"),
        ("{} Stunde", "{} Stunden"),
        ("{} Minute", "{} Minuten"),
        ("{} Sekunde", "{} Sekunden"),
    ),
)
