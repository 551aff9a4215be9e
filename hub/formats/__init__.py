"""Standard formats as pure codecs: XML, XSD, MIME, base64, ZIP, BER, syslog, iCalendar, spooled octets."""
