"""What hostile MIME is made of."""

TOKENS = [
    *(b"\r\n", b"\r", b"\n", b"--", b"--a", b"--a--", b"--b", b"\xe4", b" ", b"x", b":"),
    *(b"Content-Type: ", b"multipart/mixed; boundary=a", b"multipart/mixed; boundary=b"),
    *(b"message/rfc822", b"multipart/digest; boundary=a", b"Content-Transfer-Encoding: 8bit"),
]
