"""Japanese."""

from __future__ import annotations

from relaynode.mail.dsn_words.words import Words

JAPANESE = Words(
    failed_subject="配送エラー: メールを配送できませんでした",
    delayed_subject="警告: メールが{age}たっても配送できていません",
    receipt_subject="配送完了のお知らせ",
    postmaster_subject="管理者への通知: 配送できないメールがあります",
    poison_subject="メール {queue_id} を保留にしました",
    warning_box=(
        "    ****************************************************",
        "    **   これは警告のお知らせです。                   **",
        "    **   メールを送り直す必要はありません。           **",
        "    ****************************************************",
        "",
    ),
    received="元のメールの受信日時: {date}",
    source="送信元: {source}",
    failed_heading="次の宛先にはメールを配送できませんでした",
    receipt_heading="次の宛先への配送状況をお知らせします",
    transcript_heading="通信の記録",
    reason="理由: {text}",
    expanded_from="展開元: {address}",
    talking_to="... {host} との通信中:",
    deferred="配送を延期しました: {text}",
    delivered="メールボックスに配送しました",
    relayed="配送通知に対応していないサーバーに転送しました",
    expanded="メーリングリストの参加者に転送しました",
    delivered_transcript="配送を完了しました",
    relayed_transcript="転送しました。これ以降の通知はありません",
    expanded_transcript="メーリングリストに転送しました",
    still_undelivered="警告: {age}たってもメールを配送できていません。",
    keep_trying="引き続き配送を試みます。",
    keep_trying_until="受信から{limit}が経過するまで、引き続き配送を試みます。",
    gave_up="{age}にわたって試みましたが、メールを配送できませんでした。",
    deleted="このメールは配送待ちの列から削除されます。",
    poison=(
        "{sender} からのメール {queue_id} を処理できませんでした。",
        "処理中に予期しないエラーが 3 回発生したためです。",
        "このメールは配送待ちの列に残してありますが、今後は配送を試みません。",
        "詳しくはログ、または次のコマンドで確認してください。",
        "",
        "    relaynode why {queue_id}",
        "",
        "原因を取り除いたあと、「relaynode release {queue_id}」で配送を再開できます。",
        "「relaynode remove {queue_id}」で削除できます。",
    ),
    units=(
        ("{} 日", "{} 日"),
        ("{} 時間", "{} 時間"),
        ("{} 分", "{} 分"),
        ("{} 秒", "{} 秒"),
    ),
)
