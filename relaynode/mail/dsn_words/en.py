"""English: sendmail's layout."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

ENGLISH = Words(
    failed_subject="Returned mail: see transcript for details",
    delayed_subject="Warning: could not send message for past {age}",
    receipt_subject="Return receipt",
    postmaster_subject="Postmaster notify: see transcript for details",
    poison_subject="Message {queue_id} was set aside",
    warning_box=(
        "    **********************************************",
        "    **      THIS IS A WARNING MESSAGE ONLY      **",
        "    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **",
        "    **********************************************",
        "",
    ),
    received="The original message was received at {date}",
    source="from {source}",
    failed_heading="The following addresses had permanent fatal errors",
    receipt_heading="The following addresses had successful delivery notifications",
    transcript_heading="Transcript of session follows",
    reason="reason: {text}",
    expanded_from="expanded from: {address}",
    talking_to="... while talking to {host}:",
    deferred="Deferred: {text}",
    delivered="successfully delivered to mailbox",
    relayed="relayed to non-DSN-aware mailer",
    expanded="expanded by mailing list",
    delivered_transcript="Successfully delivered",
    relayed_transcript="relayed; expect no further notifications",
    expanded_transcript="expanded by mailing list",
    still_undelivered="Warning: message still undelivered after {age}",
    keep_trying="Will keep trying",
    keep_trying_until="Will keep trying until message is {limit} old",
    gave_up="Message could not be delivered for {age}",
    deleted="Message will be deleted from queue",
    poison=(
        "The message {queue_id} from {sender} could not be handled: three times",
        "an unexpected error occurred while this program was working on it.",
        "It is kept in the queue and is not tried any more. The log tells more;",
        "so does this command:",
        "",
        "    relaynode why {queue_id}",
        "",
        'When the cause is mended, "relaynode release {queue_id}" sends it on, and',
        '"relaynode remove {queue_id}" deletes it.',
    ),
    units=(
        ("{} day", "{} days"),
        ("{} hour", "{} hours"),
        ("{} minute", "{} minutes"),
        ("{} second", "{} seconds"),
    ),
)
