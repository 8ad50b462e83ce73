PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE conversation_heads (
    conversation_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "conversation_heads" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8',1,0,0,5);
INSERT INTO "conversation_heads" VALUES('550e8400-e29b-41d4-a716-446655440000',3,0,0,3);
CREATE TABLE dead_letters (
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    cause TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL, put_aside_ms INTEGER, replayed_ms INTEGER, replayed_epoch INTEGER, replayed_partition INTEGER, replayed_offset INTEGER,
    PRIMARY KEY (log_epoch, log_partition, log_offset)
) WITHOUT ROWID;
INSERT INTO "dead_letters" VALUES(0,0,6,'unknown type',X'35353065383430302D653239622D343164342D613731362D343436363535343430303030',X'7B2274797065223A20226E6F20737563682074797065227D',1795847254537,NULL,NULL,NULL,NULL);
CREATE TABLE followed_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_id TEXT NOT NULL,
    "offset" INTEGER NOT NULL
);
INSERT INTO "followed_log" VALUES(1,'3e38b668-c724-46f9-a035-ffc0835bd568',6);
CREATE TABLE message_ids (
    conversation_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_id, sender_id)
) WITHOUT ROWID;
INSERT INTO "message_ids" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8','01a220d6-6d20-77d1-b46d-f6e2fdf31234','carla',1,0,0,5);
INSERT INTO "message_ids" VALUES('550e8400-e29b-41d4-a716-446655440000','01a220d6-695b-7579-ace3-f85fa8ca8074','bruno',1,0,0,1);
INSERT INTO "message_ids" VALUES('550e8400-e29b-41d4-a716-446655440000','01a220d6-695f-7089-a641-042c02867fc6','bruno',2,0,0,2);
INSERT INTO "message_ids" VALUES('550e8400-e29b-41d4-a716-446655440000','01a220d6-6961-77d8-a27f-4e0d0b909c63','bruno',3,0,0,3);
CREATE TABLE messages (
    conversation_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at TEXT NOT NULL,
    log_epoch INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) WITHOUT ROWID;
INSERT INTO "messages" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8',1,'01a220d6-6d20-77d1-b46d-f6e2fdf31234','carla','from carla','2026-11-28T06:27:33.280Z',0,0,5);
INSERT INTO "messages" VALUES('550e8400-e29b-41d4-a716-446655440000',1,'01a220d6-695b-7579-ace3-f85fa8ca8074','bruno','before 0 🎉','2026-11-28T06:27:32.315Z',0,0,1);
INSERT INTO "messages" VALUES('550e8400-e29b-41d4-a716-446655440000',2,'01a220d6-695f-7089-a641-042c02867fc6','bruno','before 1 🎉','2026-11-28T06:27:32.319Z',0,0,2);
INSERT INTO "messages" VALUES('550e8400-e29b-41d4-a716-446655440000',3,'01a220d6-6961-77d8-a27f-4e0d0b909c63','bruno','before 2 🎉','2026-11-28T06:27:32.321Z',0,0,3);
CREATE TABLE read_markers (
    conversation_id TEXT NOT NULL,
    username TEXT NOT NULL,
    delivered_seq INTEGER NOT NULL,
    read_seq INTEGER NOT NULL, delivered_ms INTEGER, read_ms INTEGER,
    PRIMARY KEY (conversation_id, username)
) WITHOUT ROWID;
INSERT INTO "read_markers" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8','carla',1,1,1795847253281,1795847253281);
INSERT INTO "read_markers" VALUES('550e8400-e29b-41d4-a716-446655440000','ana',2,2,1795847252826,1795847252826);
INSERT INTO "read_markers" VALUES('550e8400-e29b-41d4-a716-446655440000','bruno',3,3,1795847252321,1795847252321);
COMMIT;
