-- Events get a place in a line when they have been committed, and every sink remembers how far it has come.

-- NULL until the event is in line. Those that were told before are its beginning.
ALTER TABLE event ADD COLUMN position bigint;
UPDATE event e SET position = told.n
FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM event WHERE published_at IS NOT NULL) AS told
WHERE e.seq = told.seq;
DROP INDEX event_waiting;
DROP INDEX event_installation;
ALTER TABLE event DROP COLUMN published_at, DROP COLUMN attempts;
CREATE INDEX event_waiting ON event (seq) WHERE position IS NULL;
CREATE UNIQUE INDEX event_position ON event (position) WHERE position IS NOT NULL;
CREATE INDEX event_installation ON event (installation, position);

-- One row: the last place given, and the last one whose event has been deleted for its age.
CREATE TABLE outbox (
    last   bigint NOT NULL,
    pruned bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX outbox_is_one ON outbox ((true));
INSERT INTO outbox (last) SELECT coalesce(max(position), 0) FROM event;

-- Where events are told, and the place of the last one told there.
CREATE TABLE sink (
    name          text COLLATE "C" PRIMARY KEY,
    position      bigint NOT NULL,
    -- Whether the settings name it. One that they name no more holds up nobody.
    active        boolean NOT NULL DEFAULT true,
    -- Why the last attempt failed, and since when all have.
    error         text,
    failing_since timestamptz
) WITH (fillfactor = 50);

-- The one there was.
INSERT INTO sink (name, position) SELECT 'log', last FROM outbox WHERE last > 0;

-- Events that a sink has refused, as they were told; the event itself may be deleted meanwhile.
CREATE TABLE refused_event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink       text COLLATE "C" NOT NULL,
    key        uuid NOT NULL,
    type       text COLLATE "C" NOT NULL,
    object     uuid NOT NULL,
    body       text NOT NULL,
    reason     text NOT NULL,
    attempts   integer NOT NULL DEFAULT 1,
    -- When it is offered again; NULL once that has been given up: a dead letter.
    retry_at   timestamptz,
    refused_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sink, key)
);
CREATE INDEX refused_event_due ON refused_event (sink, retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX refused_event_dead ON refused_event (id) WHERE retry_at IS NULL;
