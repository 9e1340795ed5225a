"""French."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

FRENCH = Words(
    failed_subject="Courrier retourné : votre message n'a pas pu être remis",
    delayed_subject="Avertissement : votre message attend d'être remis depuis {age}",
    receipt_subject="Avis de remise",
    postmaster_subject="Avis au postmaster : message non remis",
    poison_subject="Le message {queue_id} a été mis de côté",
    warning_box=(
        "    *************************************************************",
        "    **          CECI N'EST QU'UN AVERTISSEMENT.                **",
        "    **  IL N'EST PAS NÉCESSAIRE DE RENVOYER VOTRE MESSAGE.     **",
        "    *************************************************************",
        "",
    ),
    received="Le message d'origine a été reçu le {date}",
    source="de {source}",
    failed_heading="Le message n'a pas pu être remis à ces adresses",
    receipt_heading="La remise est confirmée pour ces adresses",
    transcript_heading="Transcription de la session",
    reason="motif : {text}",
    expanded_from="issu de : {address}",
    talking_to="... en conversation avec {host} :",
    deferred="Différé : {text}",
    delivered="remis avec succès dans la boîte aux lettres",
    relayed="transmis à un serveur qui n'envoie pas d'avis de remise",
    expanded="transmis aux membres d'une liste de diffusion",
    delivered_transcript="Remis avec succès",
    relayed_transcript="transmis ; aucun autre avis ne suivra",
    expanded_transcript="transmis à une liste de diffusion",
    still_undelivered="Avertissement : après {age}, le message n'est toujours pas remis.",
    keep_trying="Les tentatives de remise continuent.",
    keep_trying_until=(
        "Les tentatives de remise continueront jusqu'à ce que le message ait {limit}."
    ),
    gave_up="Le message n'a pas pu être remis en {age}.",
    deleted="Il va être supprimé de la file d'attente.",
    poison=(
        "Le message {queue_id} de {sender} n'a pas pu être traité : à trois reprises,",
        "une erreur inattendue s'est produite pendant son traitement.",
        "Il reste dans la file d'attente, mais son envoi n'est plus tenté.",
        "Le journal en dit davantage, ainsi que cette commande :",
        "",
        "    relaynode why {queue_id}",
        "",
        'Une fois la cause corrigée, "relaynode release {queue_id}" relance l\'envoi',
        'et "relaynode remove {queue_id}" supprime le message.',
    ),
    units=(
        ("{} jour", "{} jours"),
        ("{} heure", "{} heures"),
        ("{} minute", "{} minutes"),
        ("{} seconde", "{} secondes"),
    ),
)
