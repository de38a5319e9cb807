"""The capture laboratory: conversations of modalities and peers, right and wrong, written as capture files.

``conversation`` (start there), ``elements`` (data sets), ``charsets``, ``network`` (TCP/IP), ``files`` (pcap, pcapng),
``products`` (conforming VXvue and MX1), ``make_captures`` (the known-answer captures in tests/captures).
"""
