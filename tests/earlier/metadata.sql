PRAGMA user_version = 0;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE audit (
	entry_id VARCHAR(36) NOT NULL, 
	at BIGINT NOT NULL, 
	actor VARCHAR(40), 
	action VARCHAR(32) NOT NULL, 
	conversation_id VARCHAR(36), 
	username VARCHAR(40), 
	details JSON NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (entry_id)
);
INSERT INTO "audit" VALUES('2a2edca0-91d8-4c5d-be13-6a939c96dcb1',1795847253278,'bruno','member-added','31dc753c-b47e-428c-aca2-4698007d2cc8','deleted-5d7950b1e108ff5673ddd432416b12b5','{"role": "member"}');
CREATE TABLE conversations (
	conversation_id VARCHAR(36) NOT NULL, 
	type VARCHAR(16) NOT NULL, 
	title VARCHAR(200), 
	metadata JSON NOT NULL, 
	created_at VARCHAR(24) NOT NULL, 
	deleted_at VARCHAR(24), 
	CONSTRAINT pk_conversations PRIMARY KEY (conversation_id)
);
INSERT INTO "conversations" VALUES('550e8400-e29b-41d4-a716-446655440000','group','Demonstration','{}','2026-11-28T06:27:31.758Z',NULL);
INSERT INTO "conversations" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8','group','Equipe','{"a": "b"}','2026-11-28T06:27:33.270Z',NULL);
CREATE TABLE members (
	conversation_id VARCHAR(36) NOT NULL, 
	username VARCHAR(32) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	joined_at VARCHAR(24), 
	CONSTRAINT pk_members PRIMARY KEY (conversation_id, username), 
	CONSTRAINT fk_members_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (conversation_id), 
	CONSTRAINT fk_members_username FOREIGN KEY(username) REFERENCES users (username)
);
INSERT INTO "members" VALUES('550e8400-e29b-41d4-a716-446655440000','bruno','owner','2026-11-28T06:27:31.758Z');
INSERT INTO "members" VALUES('550e8400-e29b-41d4-a716-446655440000','ana','member','2026-11-28T06:27:31.758Z');
INSERT INTO "members" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8','bruno','owner','2026-11-28T06:27:33.270Z');
INSERT INTO "members" VALUES('31dc753c-b47e-428c-aca2-4698007d2cc8','ana','member','2026-11-28T06:27:33.270Z');
CREATE TABLE outbox (
	entry_id VARCHAR(36) NOT NULL, 
	at BIGINT NOT NULL, 
	subject VARCHAR(16) NOT NULL, 
	"key" VARCHAR(36) NOT NULL, 
	CONSTRAINT pk_outbox PRIMARY KEY (entry_id)
);
INSERT INTO "outbox" VALUES('358e0534-54b3-4b92-9e68-137c05176ff4',1795847251760,'user','bruno');
INSERT INTO "outbox" VALUES('b094662e-91ea-40e9-98e8-23ca3f1a6970',1795847251761,'user','ana');
INSERT INTO "outbox" VALUES('2321dd70-e5bd-4902-9f40-2d1084a561e1',1795847251764,'members','550e8400-e29b-41d4-a716-446655440000');
INSERT INTO "outbox" VALUES('f090fc56-d227-4b09-bbdf-1ebf6b4bfce6',1795847252088,'session','f0a5e0be-ab73-4a41-a2b3-4dc6a4f14dae');
INSERT INTO "outbox" VALUES('584027c8-0bda-4b00-a20a-8e21dee20fdf',1795847252310,'session','4fa7dc40-b92b-40fb-afb6-99111934b820');
INSERT INTO "outbox" VALUES('56d5721c-b159-4899-9b4e-a1155aa8affb',1795847253045,'user','carla');
INSERT INTO "outbox" VALUES('7bc118ed-c2b4-41de-9c1c-77a8442f6bf4',1795847253264,'session','ff930ae8-d6ed-46a9-9758-f6b8eef3adb0');
INSERT INTO "outbox" VALUES('71918ef2-331b-447f-9ad4-22d10ac98fda',1795847253271,'members','31dc753c-b47e-428c-aca2-4698007d2cc8');
INSERT INTO "outbox" VALUES('9c4e3d8d-fcc9-4d41-b30f-1d14f93cf099',1795847253278,'members','31dc753c-b47e-428c-aca2-4698007d2cc8');
INSERT INTO "outbox" VALUES('25c5e80f-7361-4bed-bdc9-f52d35994108',1795847253788,'alias','carla');
INSERT INTO "outbox" VALUES('a141fb75-f839-4d2f-9e36-5f3a5508704d',1795847253788,'members','31dc753c-b47e-428c-aca2-4698007d2cc8');
INSERT INTO "outbox" VALUES('1d539ced-febb-4910-944c-901d1b485c90',1795847253788,'session','ff930ae8-d6ed-46a9-9758-f6b8eef3adb0');
CREATE TABLE private_pairs (
	lesser VARCHAR(32) NOT NULL, 
	greater VARCHAR(32) NOT NULL, 
	conversation_id VARCHAR(36) NOT NULL, 
	CONSTRAINT pk_private_pairs PRIMARY KEY (lesser, greater), 
	CONSTRAINT fk_private_pairs_lesser FOREIGN KEY(lesser) REFERENCES users (username), 
	CONSTRAINT fk_private_pairs_greater FOREIGN KEY(greater) REFERENCES users (username), 
	CONSTRAINT fk_private_pairs_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (conversation_id)
);
CREATE TABLE sessions (
	session_id VARCHAR(36) NOT NULL, 
	username VARCHAR(32) NOT NULL, 
	expires_at BIGINT NOT NULL, 
	created_at BIGINT, 
	used_at BIGINT, 
	device VARCHAR(200), 
	family_hash BLOB, 
	refresh_hash BLOB, 
	CONSTRAINT pk_sessions PRIMARY KEY (session_id), 
	CONSTRAINT fk_sessions_username FOREIGN KEY(username) REFERENCES users (username)
);
INSERT INTO "sessions" VALUES('f0a5e0be-ab73-4a41-a2b3-4dc6a4f14dae','bruno',1798439252,1795847252,1795847252,'Python-urllib/3.11',X'46F6D479B154D218CEAF5CD8B4D54EF1D231DDDC2811E2AB8219C3BD30A07236',X'74E6EC315C3FC47169BD98260036F3A708976426A7B4FF83D1AD85072493A1A8');
INSERT INTO "sessions" VALUES('4fa7dc40-b92b-40fb-afb6-99111934b820','ana',1798439252,1795847252,1795847252,'Python-urllib/3.11',X'DB7374F7E01D3D8BEDD1C48EDE6237FBDDE7F2A3463F710F63EC6DC1C925007F',X'43A34F48146974F4C7EC8A932382EA82C6BD2CF3B306F8A6F729C57B90AAAF30');
CREATE TABLE users (
	username VARCHAR(32) NOT NULL, 
	email VARCHAR(320) NOT NULL, 
	email_key VARCHAR(320) NOT NULL, 
	password_hash BLOB NOT NULL, 
	created_at VARCHAR(24) NOT NULL, 
	display_name VARCHAR(80), 
	display_key VARCHAR(240), 
	disabled_at VARCHAR(24), 
	alias VARCHAR(40), 
	CONSTRAINT pk_users PRIMARY KEY (username), 
	CONSTRAINT uq_users_email_key UNIQUE (email_key)
);
INSERT INTO "users" VALUES('bruno','bruno@example.com','bruno@example.com',X'2432622431322448587843426A6937616D474B49307A2E59464C31662E57632E463375736B353049734C31537A626847764E7547624A474536795647','2026-11-28T06:27:31.758Z',NULL,NULL,NULL,NULL);
INSERT INTO "users" VALUES('ana','ana@example.com','ana@example.com',X'2432622431322448587843426A6937616D474B49307A2E59464C31662E57632E463375736B353049734C31537A626847764E7547624A474536795647','2026-11-28T06:27:31.758Z',NULL,NULL,NULL,NULL);
INSERT INTO "users" VALUES('carla','','deleted-5d7950b1e108ff5673ddd432416b12b5',X'','2026-11-28T06:27:32.830Z',NULL,NULL,NULL,'deleted-5d7950b1e108ff5673ddd432416b12b5');
CREATE INDEX ix_outbox_at ON outbox (at);
CREATE INDEX ix_audit_at ON audit (at);
CREATE INDEX ix_members_username ON members (username);
CREATE INDEX ix_private_pairs_conversation_id ON private_pairs (conversation_id);
CREATE UNIQUE INDEX ix_sessions_family_hash ON sessions (family_hash);
CREATE INDEX ix_sessions_username ON sessions (username);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
COMMIT;
