"""The milter protocol, on the mail server's side and without I/O: version 6, down to 2.

Facts: libmilter's public header mfdef.h and manual of sendmail 8.17, MILTER_README of Postfix, the
protocol's description in Sendmail::PMilter.
"""
