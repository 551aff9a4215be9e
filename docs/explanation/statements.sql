-- The statements that a new document, its claim and its settlement run, as the drivers are given them.
-- Made by `python -m tests.journal.statements`; a test holds this file equal to the code.
-- A statement about a set is shown for two rows. Each is prepared once for 1, 2, 4 … 64 rows.

-- ===== SQLite =====

-- new documents: which of those received are new
WITH asked (number, partner, message_id, sender, document_id, lane, mark) AS (VALUES (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?))
SELECT number FROM asked
WHERE NOT EXISTS (
    SELECT 1 FROM message
    WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
) AND NOT EXISTS (
    SELECT 1 FROM message WHERE message.sender = asked.sender AND message.document_id = asked.document_id
) AND NOT EXISTS (
    SELECT 1 FROM change WHERE change.sender = asked.sender AND change.document_id = asked.document_id
)
AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.lane = asked.lane)
AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark);

-- new statuses: the documents that they answer
WITH asked (number, partner, message_id, organ, reporter, document_id, service, key, milestone, mark) AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)),
found AS (
    SELECT asked.number, asked.reporter, (
        SELECT message.id FROM message
        WHERE message.sender = asked.organ AND message.document_id = asked.document_id
            AND message.state = 'accepted' AND message.kind <> 'status'
            AND EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND delivery.recipient = asked.reporter)
        ORDER BY message.received_at DESC, message.id DESC LIMIT 1
    ) AS answered
    FROM asked
    WHERE NOT EXISTS (
        SELECT 1 FROM message
        WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
    ) AND NOT EXISTS (
        SELECT 1 FROM fact WHERE fact.unit = asked.reporter AND fact.service = asked.service
            AND fact.key = asked.key AND fact.milestone = asked.milestone
    )
    AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark)
)
SELECT found.number, message.id, message.kind, message.sender, message.document_id, message.document_type, message.due,
    message.lane, delivery.id AS delivery, delivery.status, delivery.answer
FROM found
JOIN message ON message.id = found.answered
JOIN delivery ON delivery.message = message.id AND delivery.recipient = found.reporter
WHERE message.lane IS NOT NULL AND delivery.returns IS NULL AND NOT EXISTS (
    SELECT 1 FROM duty JOIN message AS late ON late.id = duty.message
    WHERE duty.kind = 'deliveries' AND late.lane = message.lane
);

-- new statuses: what their lanes hold
WITH asked (number, lane, recipient) AS (VALUES (?, ?, ?), (?, ?, ?))
SELECT asked.number, asked.recipient, (SELECT max(delivery.id) FROM delivery WHERE delivery.lane = asked.lane) AS last,
    EXISTS (
        SELECT 1 FROM delivery
        WHERE delivery.lane = asked.lane AND delivery.recipient = asked.recipient
            AND delivery.state IN ('waiting', 'sending')
    ) AS taken
FROM asked;

-- new statuses: the answered deliveries
WITH answered (id, status, changed_at) AS (VALUES (?, ?, ?), (?, ?, ?))
UPDATE delivery SET status = answered.status, changed_at = answered.changed_at
FROM answered WHERE delivery.id = answered.id;

-- one message: the accepted message with its id
SELECT message.id, message.sha256, message.receipt
FROM message
WHERE message.partner = ? AND message.message_id = ? AND message.state = 'accepted';

-- one document: the lane of its predecessors
SELECT message.lane
FROM message
WHERE message.sender = ? AND message.document_id = ? AND message.state = 'accepted' AND message.kind != ? AND message.lane IS NOT NULL ORDER BY message.id
 LIMIT ? OFFSET ?;

-- one document: changes that came before it
SELECT change.unit, change.effect, message.partner, min(change.message) AS message
FROM change JOIN message ON message.id = change.message
WHERE change.sender = ? AND change.document_id = ? AND change.effect != ? AND change.message > ? GROUP BY change.unit, change.effect, message.partner;

-- one status: the document that it answers
SELECT message.id, message.kind, message.sender, message.document_id, message.document_type, message.due, message.lane
FROM message
WHERE message.state = 'accepted' AND message.kind != ? AND message.sender = ? AND message.document_id = ? AND (EXISTS (SELECT *
FROM delivery
WHERE delivery.message = message.id AND delivery.recipient = ?)) ORDER BY message.received_at DESC, message.id DESC
 LIMIT ? OFFSET ?;

-- one status: the delivery that it answers
SELECT delivery.id, delivery.status, delivery.answer, delivery.returns
FROM delivery
WHERE delivery.message = ? AND delivery.recipient = ?;

-- deliveries: the last id in the lane
SELECT max(delivery.id) AS last, EXISTS (SELECT *
FROM duty
WHERE duty.kind = 'deliveries') AS unmade
FROM delivery
WHERE delivery.lane = ?;

-- claims: the queue of each partner
WITH RECURSIVE found(partner) AS
(SELECT (SELECT min(first.partner) AS min_11
FROM delivery AS first
WHERE first.free = 1) AS partner UNION ALL SELECT (SELECT min(other.partner) AS min_12
FROM delivery AS other
WHERE other.free = 1 AND other.partner > found.partner) AS anon_11
FROM found
WHERE found.partner IS NOT NULL)
 SELECT found.partner, (SELECT min(delivery.due) AS min_1
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ?) AS anon_1, (SELECT min(delivery.due) AS min_2
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ?) AS anon_2, (SELECT min(delivery.due) AS min_3
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ?) AS anon_3, (SELECT min(delivery.due) AS min_4
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ?) AS anon_4, (SELECT min(delivery.due) AS min_5
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ?) AS anon_5, (SELECT min(delivery.due) AS min_6
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due > ?) AS anon_6, (SELECT min(delivery.due) AS min_7
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due > ?) AS anon_7, (SELECT min(delivery.due) AS min_8
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due > ?) AS anon_8, (SELECT min(delivery.due) AS min_9
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due > ?) AS anon_9, (SELECT min(delivery.due) AS min_10
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due > ?) AS anon_10
FROM found
WHERE found.partner IS NOT NULL;

-- claims: the state of a partner, locked
SELECT partner_state.partner, partner_state.breaker, partner_state.failures, partner_state.opened, partner_state.until, partner_state.pace, partner_state.reason, partner_state.next_at, partner_state.paused_at, partner_state.paused_by, partner_state.paused_reason
FROM partner_state
WHERE partner_state.partner = ?;

-- claims: messages that are being sent
SELECT delivery.partner, count(DISTINCT delivery.message) AS messages
FROM delivery
WHERE delivery.state = 'sending' GROUP BY delivery.partner;

-- claims: the next messages of a partner
SELECT anon_1.due, anon_1.message, anon_1.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 0 AS urgency
FROM delivery
WHERE delivery.partner = ? AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ? GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT ? OFFSET ?) AS anon_1 UNION ALL SELECT anon_2.due, anon_2.message, anon_2.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 1 AS urgency
FROM delivery
WHERE delivery.partner = ? AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ? GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT ? OFFSET ?) AS anon_2 UNION ALL SELECT anon_3.due, anon_3.message, anon_3.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 2 AS urgency
FROM delivery
WHERE delivery.partner = ? AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ? GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT ? OFFSET ?) AS anon_3 UNION ALL SELECT anon_4.due, anon_4.message, anon_4.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 3 AS urgency
FROM delivery
WHERE delivery.partner = ? AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ? GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT ? OFFSET ?) AS anon_4 UNION ALL SELECT anon_5.due, anon_5.message, anon_5.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 4 AS urgency
FROM delivery
WHERE delivery.partner = ? AND delivery.free = 1 AND delivery.urgency = ? AND delivery.due <= ? GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT ? OFFSET ?) AS anon_5;

-- claims: their deliveries
SELECT delivery.id, delivery.message, delivery.recipient, delivery.via, delivery.partner, delivery.state, delivery.status, delivery.attempts, delivery.due, delivery.since, delivery.changed_at, delivery.reason, delivery.holder, delivery.lease_until, delivery.urgency, delivery.lane, delivery.stopped, delivery.answer, delivery.alarmed_at, delivery.free, delivery.crashes, delivery.again, delivery.cause, delivery.named, delivery.part, delivery.unsure, delivery.twice, delivery.failed, delivery.their_id, delivery.given_up, delivery.returns
FROM delivery
WHERE delivery.message IN (?, ?) AND coalesce(delivery.partner, ?) = ? AND coalesce(delivery.free, 0) = 1 AND delivery.due <= ? ORDER BY delivery.id;

-- claims: the claimed deliveries
UPDATE delivery SET state=?, attempts=(delivery.attempts + ?), changed_at=?, holder=?, lease_until=?, free=? WHERE delivery.id IN (?, ?);

-- claims: the begun attempts
INSERT INTO attempt (id, message, partner, number, recipients, started_at) VALUES (?, ?, ?, ?, ?, ?);

-- claims: short contents
SELECT message.id, message.partner, message.message_id, message.service, message.kind, message.state, message.received_at, message.sha256, message.size, message.refusal, message.sender, message.document_id, message.subject, message.signature, message.code, message.trace, content.octets
FROM message JOIN content ON content.sha256 = message.sha256 AND content.part = ?
WHERE message.id IN (?, ?) AND message.size <= ?;

-- the chain: events without a number
SELECT event.serial, event.text
FROM event
WHERE event.number IS NULL ORDER BY event.serial
 LIMIT ? OFFSET ?;

-- the chain: their numbers and hashes
WITH link (serial, number, hash) AS (VALUES (?, ?, ?), (?, ?, ?))
UPDATE event SET number = link.number, hash = link.hash FROM link WHERE event.serial = link.serial;

-- settlements: the deliveries that are being sent
WITH asked (number, attempt, delivery, holder) AS (VALUES (?, ?, ?, ?), (?, ?, ?, ?))
SELECT asked.number, delivery.id AS delivery, delivery.recipient, delivery.lane, EXISTS (
        SELECT 1 FROM delivery AS next
        WHERE next.lane = delivery.lane AND next.recipient = delivery.recipient AND next.state = 'waiting'
    ) AS more,
    message.id, message.service, message.kind, message.sender, message.document_id, message.sha256,
    message.received_at, message.document_type, message.paper, message.signature, message.due, message.outside,
    EXISTS (
        SELECT 1 FROM attempt AS earlier
        WHERE earlier.message = delivery.message AND earlier.partner = delivery.partner
            AND earlier.exchange IS NOT NULL
    ) AS tried,
    EXISTS (SELECT 1 FROM unit WHERE unit.code = delivery.recipient AND unit.until IS NOT NULL) AS ends
FROM asked
JOIN delivery ON delivery.id = asked.delivery AND delivery.state = 'sending' AND delivery.holder = asked.holder
JOIN attempt ON attempt.id = asked.attempt AND attempt.ended_at IS NULL
JOIN message ON message.id = delivery.message
ORDER BY delivery.id;

-- settlements: what is kept of earlier attempts, if there were any
WITH asked (number, message, partner) AS (VALUES (?, ?, ?), (?, ?, ?))
SELECT asked.number, attempt.exchange, SUM(attempt.exchange_octets)
FROM asked JOIN attempt ON attempt.message = asked.message AND attempt.partner = asked.partner
WHERE attempt.exchange IS NOT NULL
GROUP BY asked.number, attempt.exchange;

-- settlements: the ended attempts
WITH ended (id, ended_at, outcome, detail, request_sha256, reply_sha256, reply_status, call_ms,
    exchange, exchange_octets, varying) AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
UPDATE attempt SET ended_at = ended.ended_at, outcome = ended.outcome, detail = ended.detail,
    request_sha256 = ended.request_sha256, reply_sha256 = ended.reply_sha256, reply_status = ended.reply_status,
    call_ms = ended.call_ms, exchange = ended.exchange, exchange_octets = ended.exchange_octets,
    varying = ended.varying
FROM ended WHERE attempt.id = ended.id;

-- settlements: the delivered deliveries
WITH delivered (id, state, crashes, reason, changed_at) AS (VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?))
UPDATE delivery SET state = delivered.state, crashes = delivered.crashes, reason = delivered.reason,
    changed_at = delivered.changed_at, holder = NULL, lease_until = NULL
FROM delivered WHERE delivery.id = delivered.id;

-- settlements: the next delivery of the lane
UPDATE delivery SET free=? WHERE delivery.id = (SELECT mate.id
FROM delivery AS mate
WHERE mate.lane = ? AND mate.recipient = ? AND mate.state = ? ORDER BY mate.id
 LIMIT ? OFFSET ?) AND delivery.free = 0 AND NOT (EXISTS (SELECT *
FROM delivery AS under_way
WHERE under_way.lane = ? AND under_way.recipient = ? AND under_way.state = ?));

-- a set of rows of `message`
INSERT INTO message (id, partner, message_id, service, kind, state, received_at, sha256, size, refusal, sender, outside, document_id, code, promulgation_date, subject, due, document_type, paper, status, answers_unit, answers, lane, receipt, signature, keys, cause, envelope, archive, trace) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- a set of rows of `content`
INSERT INTO content (sha256, part, octets) VALUES (?, ?, ?), (?, ?, ?) ON CONFLICT DO NOTHING;

-- a set of rows of `delivery`
INSERT INTO delivery (id, message, recipient, via, partner, state, status, attempts, due, since, changed_at, reason, holder, lease_until, urgency, lane, stopped, answer, alarmed_at, free, crashes, again, cause, named, part, unsure, twice, failed, their_id, given_up, returns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- a set of rows of `fact`
INSERT INTO fact (unit, service, "key", milestone, at, message, counterpart, outside, document_type, paper, signature, due, day, amount, attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- a set of rows of `event`
INSERT INTO event (message, delivery, text) VALUES (?, ?, ?), (?, ?, ?);

-- a set of rows of `exchange`
INSERT INTO exchange (sha256, head, body) VALUES (?, ?, ?), (?, ?, ?) ON CONFLICT DO NOTHING;

-- ===== PostgreSQL =====

-- new documents: which of those received are new
WITH asked (number, partner, message_id, sender, document_id, lane, mark) AS (VALUES (%s::int, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text), (%s::int, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text))
SELECT number FROM asked
WHERE NOT EXISTS (
    SELECT 1 FROM message
    WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
) AND NOT EXISTS (
    SELECT 1 FROM message WHERE message.sender = asked.sender AND message.document_id = asked.document_id
) AND NOT EXISTS (
    SELECT 1 FROM change WHERE change.sender = asked.sender AND change.document_id = asked.document_id
)
AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.lane = asked.lane)
AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark);

-- new statuses: the documents that they answer
WITH asked (number, partner, message_id, organ, reporter, document_id, service, key, milestone, mark) AS (VALUES (%s::int, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text), (%s::int, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text)),
found AS (
    SELECT asked.number, asked.reporter, (
        SELECT message.id FROM message
        WHERE message.sender = asked.organ AND message.document_id = asked.document_id
            AND message.state = 'accepted' AND message.kind <> 'status'
            AND EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND delivery.recipient = asked.reporter)
        ORDER BY message.received_at DESC, message.id DESC LIMIT 1
    ) AS answered
    FROM asked
    WHERE NOT EXISTS (
        SELECT 1 FROM message
        WHERE message.partner = asked.partner AND message.message_id = asked.message_id AND message.state = 'accepted'
    ) AND NOT EXISTS (
        SELECT 1 FROM fact WHERE fact.unit = asked.reporter AND fact.service = asked.service
            AND fact.key = asked.key AND fact.milestone = asked.milestone
    )
    AND NOT EXISTS (SELECT 1 FROM signed_call WHERE signed_call.sha256 = asked.mark)
)
SELECT found.number, message.id, message.kind, message.sender, message.document_id, message.document_type, message.due,
    message.lane, delivery.id AS delivery, delivery.status, delivery.answer
FROM found
JOIN message ON message.id = found.answered
JOIN delivery ON delivery.message = message.id AND delivery.recipient = found.reporter
WHERE message.lane IS NOT NULL AND delivery.returns IS NULL AND NOT EXISTS (
    SELECT 1 FROM duty JOIN message AS late ON late.id = duty.message
    WHERE duty.kind = 'deliveries' AND late.lane = message.lane
) FOR UPDATE OF delivery;

-- new statuses: what their lanes hold
WITH asked (number, lane, recipient) AS (VALUES (%s::int, %s::text, %s::text), (%s::int, %s::text, %s::text))
SELECT asked.number, asked.recipient, (SELECT max(delivery.id) FROM delivery WHERE delivery.lane = asked.lane) AS last,
    EXISTS (
        SELECT 1 FROM delivery
        WHERE delivery.lane = asked.lane AND delivery.recipient = asked.recipient
            AND delivery.state IN ('waiting', 'sending')
    ) AS taken
FROM asked;

-- new statuses: the answered deliveries
WITH answered (id, status, changed_at) AS (VALUES (%s::text, %s::text, %s::text), (%s::text, %s::text, %s::text))
UPDATE delivery SET status = answered.status, changed_at = answered.changed_at
FROM answered WHERE delivery.id = answered.id;

-- one message: the accepted message with its id
SELECT message.id, message.sha256, message.receipt
FROM message
WHERE message.partner = %(by)s::VARCHAR AND message.message_id = %(named)s::VARCHAR AND message.state = 'accepted';

-- one document: the lane of its predecessors
SELECT message.lane
FROM message
WHERE message.sender = %(by)s::VARCHAR AND message.document_id = %(about)s::VARCHAR AND message.state = 'accepted' AND message.kind != %(kind_1)s::VARCHAR AND message.lane IS NOT NULL ORDER BY message.id
 LIMIT %(param_1)s::INTEGER;

-- one document: changes that came before it
SELECT change.unit, change.effect, message.partner, min(change.message) AS message
FROM change JOIN message ON message.id = change.message
WHERE change.sender = %(by)s::VARCHAR AND change.document_id = %(about)s::VARCHAR AND change.effect != %(effect_1)s::VARCHAR AND change.message > %(after)s::VARCHAR GROUP BY change.unit, change.effect, message.partner;

-- one status: the document that it answers
SELECT message.id, message.kind, message.sender, message.document_id, message.document_type, message.due, message.lane
FROM message
WHERE message.state = 'accepted' AND message.kind != %(kind_1)s::VARCHAR AND message.sender = %(organ)s::VARCHAR AND message.document_id = %(document)s::VARCHAR AND (EXISTS (SELECT *
FROM delivery
WHERE delivery.message = message.id AND delivery.recipient = %(reporter)s::VARCHAR)) ORDER BY message.received_at DESC, message.id DESC
 LIMIT %(param_1)s::INTEGER;

-- one status: the delivery that it answers
SELECT delivery.id, delivery.status, delivery.answer, delivery.returns
FROM delivery
WHERE delivery.message = %(of)s::VARCHAR AND delivery.recipient = %(reporter)s::VARCHAR FOR UPDATE;

-- deliveries: the last id in the lane
SELECT max(delivery.id) AS last, EXISTS (SELECT *
FROM duty
WHERE duty.kind = 'deliveries') AS unmade
FROM delivery
WHERE delivery.lane = %(in)s::VARCHAR;

-- claims: the queue of each partner
WITH RECURSIVE found(partner) AS
(SELECT (SELECT min(first.partner) AS min_11
FROM delivery AS first
WHERE first.free) AS partner UNION ALL SELECT (SELECT min(other.partner) AS min_12
FROM delivery AS other
WHERE other.free AND other.partner > found.partner) AS anon_11
FROM found
WHERE found.partner IS NOT NULL)
 SELECT found.partner, (SELECT min(delivery.due) AS min_1
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_1)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR) AS anon_1, (SELECT min(delivery.due) AS min_2
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_2)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR) AS anon_2, (SELECT min(delivery.due) AS min_3
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_3)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR) AS anon_3, (SELECT min(delivery.due) AS min_4
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_4)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR) AS anon_4, (SELECT min(delivery.due) AS min_5
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_5)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR) AS anon_5, (SELECT min(delivery.due) AS min_6
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_1)s::SMALLINT AND delivery.due > %(now)s::VARCHAR) AS anon_6, (SELECT min(delivery.due) AS min_7
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_2)s::SMALLINT AND delivery.due > %(now)s::VARCHAR) AS anon_7, (SELECT min(delivery.due) AS min_8
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_3)s::SMALLINT AND delivery.due > %(now)s::VARCHAR) AS anon_8, (SELECT min(delivery.due) AS min_9
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_4)s::SMALLINT AND delivery.due > %(now)s::VARCHAR) AS anon_9, (SELECT min(delivery.due) AS min_10
FROM delivery
WHERE delivery.partner = found.partner AND delivery.free AND delivery.urgency = %(urgency_5)s::SMALLINT AND delivery.due > %(now)s::VARCHAR) AS anon_10
FROM found
WHERE found.partner IS NOT NULL;

-- claims: the state of a partner, locked
SELECT partner_state.partner, partner_state.breaker, partner_state.failures, partner_state.opened, partner_state.until, partner_state.pace, partner_state.reason, partner_state.next_at, partner_state.paused_at, partner_state.paused_by, partner_state.paused_reason
FROM partner_state
WHERE partner_state.partner = %(code)s::VARCHAR FOR UPDATE SKIP LOCKED;

-- claims: messages that are being sent
SELECT delivery.partner, count(DISTINCT delivery.message) AS messages
FROM delivery
WHERE delivery.state = 'sending' GROUP BY delivery.partner;

-- claims: the next messages of a partner
SELECT anon_1.due, anon_1.message, anon_1.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 0 AS urgency
FROM delivery
WHERE delivery.partner = %(code)s::VARCHAR AND delivery.free AND delivery.urgency = %(urgency_1)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT %(most)s::INTEGER) AS anon_1 UNION ALL SELECT anon_2.due, anon_2.message, anon_2.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 1 AS urgency
FROM delivery
WHERE delivery.partner = %(code)s::VARCHAR AND delivery.free AND delivery.urgency = %(urgency_2)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT %(most)s::INTEGER) AS anon_2 UNION ALL SELECT anon_3.due, anon_3.message, anon_3.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 2 AS urgency
FROM delivery
WHERE delivery.partner = %(code)s::VARCHAR AND delivery.free AND delivery.urgency = %(urgency_3)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT %(most)s::INTEGER) AS anon_3 UNION ALL SELECT anon_4.due, anon_4.message, anon_4.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 3 AS urgency
FROM delivery
WHERE delivery.partner = %(code)s::VARCHAR AND delivery.free AND delivery.urgency = %(urgency_4)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT %(most)s::INTEGER) AS anon_4 UNION ALL SELECT anon_5.due, anon_5.message, anon_5.urgency
FROM (SELECT delivery.due AS due, delivery.message AS message, 4 AS urgency
FROM delivery
WHERE delivery.partner = %(code)s::VARCHAR AND delivery.free AND delivery.urgency = %(urgency_5)s::SMALLINT AND delivery.due <= %(now)s::VARCHAR GROUP BY delivery.due, delivery.message ORDER BY delivery.due, delivery.message
 LIMIT %(most)s::INTEGER) AS anon_5;

-- claims: their deliveries
SELECT delivery.id, delivery.message, delivery.recipient, delivery.via, delivery.partner, delivery.state, delivery.status, delivery.attempts, delivery.due, delivery.since, delivery.changed_at, delivery.reason, delivery.holder, delivery.lease_until, delivery.urgency, delivery.lane, delivery.stopped, delivery.answer, delivery.alarmed_at, delivery.free, delivery.crashes, delivery.again, delivery.cause, delivery.named, delivery.part, delivery.unsure, delivery.twice, delivery.failed, delivery.their_id, delivery.given_up, delivery.returns
FROM delivery
WHERE delivery.message IN (%(messages_1)s::VARCHAR, %(messages_2)s::VARCHAR) AND coalesce(delivery.partner, %(coalesce_1)s::VARCHAR) = %(code)s::VARCHAR AND coalesce(delivery.free, false) AND delivery.due <= %(now)s::VARCHAR ORDER BY delivery.id FOR UPDATE SKIP LOCKED;

-- claims: the claimed deliveries
UPDATE delivery SET state=%(state)s::VARCHAR, attempts=(delivery.attempts + %(attempts_1)s::INTEGER), changed_at=%(now)s::VARCHAR, holder=%(node)s::VARCHAR, lease_until=%(until)s::VARCHAR, free=%(free)s WHERE delivery.id IN (%(which_1)s::VARCHAR, %(which_2)s::VARCHAR);

-- claims: the begun attempts
INSERT INTO attempt (id, message, partner, number, recipients, started_at) VALUES (%(id)s::VARCHAR, %(message)s::VARCHAR, %(partner)s::VARCHAR, %(number)s::INTEGER, %(recipients)s::VARCHAR, %(started_at)s::VARCHAR);

-- claims: short contents
SELECT message.id, message.partner, message.message_id, message.service, message.kind, message.state, message.received_at, message.sha256, message.size, message.refusal, message.sender, message.document_id, message.subject, message.signature, message.code, message.trace, content.octets
FROM message JOIN content ON content.sha256 = message.sha256 AND content.part = %(part_1)s::INTEGER
WHERE message.id IN (%(ids_1)s::VARCHAR, %(ids_2)s::VARCHAR) AND message.size <= %(size_1)s::BIGINT;

-- the chain: events without a number
SELECT event.serial, event.text
FROM event
WHERE event.number IS NULL ORDER BY event.serial
 LIMIT %(most)s::INTEGER;

-- the chain: their numbers and hashes
WITH link (serial, number, hash) AS (VALUES (%s::bigint, %s::bigint, %s::text), (%s::bigint, %s::bigint, %s::text))
UPDATE event SET number = link.number, hash = link.hash FROM link WHERE event.serial = link.serial;

-- settlements: the deliveries that are being sent
WITH asked (number, attempt, delivery, holder) AS (VALUES (%s::int, %s::text, %s::text, %s::text), (%s::int, %s::text, %s::text, %s::text))
SELECT asked.number, delivery.id AS delivery, delivery.recipient, delivery.lane, EXISTS (
        SELECT 1 FROM delivery AS next
        WHERE next.lane = delivery.lane AND next.recipient = delivery.recipient AND next.state = 'waiting'
    ) AS more,
    message.id, message.service, message.kind, message.sender, message.document_id, message.sha256,
    message.received_at, message.document_type, message.paper, message.signature, message.due, message.outside,
    EXISTS (
        SELECT 1 FROM attempt AS earlier
        WHERE earlier.message = delivery.message AND earlier.partner = delivery.partner
            AND earlier.exchange IS NOT NULL
    ) AS tried,
    EXISTS (SELECT 1 FROM unit WHERE unit.code = delivery.recipient AND unit.until IS NOT NULL) AS ends
FROM asked
JOIN delivery ON delivery.id = asked.delivery AND delivery.state = 'sending' AND delivery.holder = asked.holder
JOIN attempt ON attempt.id = asked.attempt AND attempt.ended_at IS NULL
JOIN message ON message.id = delivery.message
ORDER BY delivery.id FOR UPDATE OF delivery, attempt;

-- settlements: what is kept of earlier attempts, if there were any
WITH asked (number, message, partner) AS (VALUES (%s::int, %s::text, %s::text), (%s::int, %s::text, %s::text))
SELECT asked.number, attempt.exchange, SUM(attempt.exchange_octets)
FROM asked JOIN attempt ON attempt.message = asked.message AND attempt.partner = asked.partner
WHERE attempt.exchange IS NOT NULL
GROUP BY asked.number, attempt.exchange;

-- settlements: the ended attempts
WITH ended (id, ended_at, outcome, detail, request_sha256, reply_sha256, reply_status, call_ms,
    exchange, exchange_octets, varying) AS (VALUES (%s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::int, %s::int, %s::text, %s::int, %s::text), (%s::text, %s::text, %s::text, %s::text, %s::text, %s::text, %s::int, %s::int, %s::text, %s::int, %s::text))
UPDATE attempt SET ended_at = ended.ended_at, outcome = ended.outcome, detail = ended.detail,
    request_sha256 = ended.request_sha256, reply_sha256 = ended.reply_sha256, reply_status = ended.reply_status,
    call_ms = ended.call_ms, exchange = ended.exchange, exchange_octets = ended.exchange_octets,
    varying = ended.varying
FROM ended WHERE attempt.id = ended.id;

-- settlements: the delivered deliveries
WITH delivered (id, state, crashes, reason, changed_at) AS (VALUES (%s::text, %s::text, %s::int, %s::text, %s::text), (%s::text, %s::text, %s::int, %s::text, %s::text))
UPDATE delivery SET state = delivered.state, crashes = delivered.crashes, reason = delivered.reason,
    changed_at = delivered.changed_at, holder = NULL, lease_until = NULL
FROM delivered WHERE delivery.id = delivered.id;

-- settlements: the next delivery of the lane
UPDATE delivery SET free=%(free)s WHERE delivery.id = (SELECT mate.id
FROM delivery AS mate
WHERE mate.lane = %(in_lane)s::VARCHAR AND mate.recipient = %(to_recipient)s::VARCHAR AND mate.state = %(state_1)s::VARCHAR ORDER BY mate.id
 LIMIT %(param_1)s::INTEGER) AND NOT delivery.free AND NOT (EXISTS (SELECT *
FROM delivery AS under_way
WHERE under_way.lane = %(in_lane)s::VARCHAR AND under_way.recipient = %(to_recipient)s::VARCHAR AND under_way.state = %(state_2)s::VARCHAR));

-- a set of rows of `message`
INSERT INTO message (id, partner, message_id, service, kind, state, received_at, sha256, size, refusal, sender, outside, document_id, code, promulgation_date, subject, due, document_type, paper, status, answers_unit, answers, lane, receipt, signature, keys, cause, envelope, archive, trace) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING;

-- a set of rows of `content`
INSERT INTO content (sha256, part, octets) VALUES (%s, %s, %s), (%s, %s, %s) ON CONFLICT DO NOTHING;

-- a set of rows of `delivery`
INSERT INTO delivery (id, message, recipient, via, partner, state, status, attempts, due, since, changed_at, reason, holder, lease_until, urgency, lane, stopped, answer, alarmed_at, free, crashes, again, cause, named, part, unsure, twice, failed, their_id, given_up, returns) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- a set of rows of `fact`
INSERT INTO fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature, due, day, amount, attributes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s), (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING;

-- a set of rows of `event`
INSERT INTO event (message, delivery, text) VALUES (%s, %s, %s), (%s, %s, %s);

-- a set of rows of `exchange`
INSERT INTO exchange (sha256, head, body) VALUES (%s, %s, %s), (%s, %s, %s) ON CONFLICT DO NOTHING;
