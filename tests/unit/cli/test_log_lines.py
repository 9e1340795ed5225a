import logging

from relaynode.cli.log_lines import TimedLines


def record_at(seconds):
    record = logging.LogRecord("relaynode", logging.INFO, "", 0, "%s came", ("mail",), None)
    record.created, record.msecs = seconds, seconds % 1 * 1000
    return record


def test_lines_look_as_those_of_logging_do():
    usual, ours = logging.Formatter("%(asctime)s %(message)s"), TimedLines()
    for seconds in (1.0, 1.5, 1.999, 86400.25, 2.0, 1795365445.0625):
        assert ours.format(record_at(seconds)) == usual.format(record_at(seconds))
