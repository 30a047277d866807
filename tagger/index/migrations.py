"""The schema, as named steps, each applied once and in a transaction of its own.

A step is never edited once released; a change is a new step. Times are seconds since
the epoch (UTC) except ``taken_at``, which is the camera's local time. Paths are bytes:
names that are not UTF-8 exist.
"""

from __future__ import annotations

import sqlite3
import time

from tagger.errors import StateError
from tagger.index.taught_tables import TABLES

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "0001_photos",
        """
        CREATE TABLE photos (
            id INTEGER PRIMARY KEY,
            path BLOB NOT NULL UNIQUE,
            root BLOB NOT NULL,
            status TEXT NOT NULL CHECK (status IN
                ('tagged', 'untagged', 'waiting', 'failed', 'missing')),
            -- the photo as we left it
            size INTEGER, mtime_ns INTEGER, inode INTEGER, device INTEGER,
            -- its sidecar as we left it; NULL without one
            sidecar_size INTEGER, sidecar_mtime_ns INTEGER, sidecar_inode INTEGER,
            content_hash BLOB,   -- of the file as we left it
            source_hash BLOB,    -- of the file before we ever wrote to it
            format TEXT, width INTEGER, height INTEGER, orientation INTEGER,
            taken_at TEXT, camera TEXT, latitude REAL, longitude REAL,
            sort_at TEXT,        -- taken_at, or the file's mtime as local time
            seen_at REAL NOT NULL,
            tagged_at REAL,
            missing_at REAL,
            labels_hash TEXT,    -- the vocabulary and settings the tags come from
            keywords_hash TEXT,  -- what was to be written, and where
            keep_out INTEGER NOT NULL DEFAULT 0,  -- the user took our tags away
            note TEXT NOT NULL DEFAULT ''
        );
        CREATE INDEX photos_content ON photos (content_hash);
        CREATE INDEX photos_source ON photos (source_hash);
        CREATE INDEX photos_sort ON photos (sort_at);
        CREATE INDEX photos_status ON photos (status);

        CREATE TABLE predictions (
            photo_id INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            model_id TEXT NOT NULL,
            top BLOB NOT NULL,        -- the centre crop's most probable classes
            evidence BLOB NOT NULL,   -- the same of all crops together: labels come from it
            features BLOB NOT NULL,   -- float16, little-endian
            crop_hash BLOB NOT NULL
        );

        CREATE TABLE tags (
            word TEXT NOT NULL,       -- the label, case-folded, for search
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            source TEXT NOT NULL CHECK (source IN ('model', 'user')),
            label TEXT NOT NULL,
            confidence REAL NOT NULL,
            path TEXT NOT NULL,       -- JSON array, from the root of the hierarchy down
            position INTEGER NOT NULL,
            PRIMARY KEY (word, photo_id, source, path)
        ) WITHOUT ROWID;
        CREATE INDEX tags_photo ON tags (photo_id);

        CREATE TABLE failures (
            photo_id INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            reason TEXT NOT NULL,
            tries INTEGER NOT NULL,
            first_at REAL NOT NULL,
            last_at REAL NOT NULL,
            retry_at REAL             -- NULL: not until the file changes
        );
        """,
    ),
    (
        "0002_journal",
        """
        CREATE TABLE journal (
            id INTEGER PRIMARY KEY,
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            pending INTEGER NOT NULL, -- 1: written down before the rename, not yet confirmed
            target TEXT NOT NULL,
            file BLOB NOT NULL,
            added TEXT NOT NULL,      -- JSON: property -> values
            tags TEXT NOT NULL,       -- JSON: canonical label -> keyword
            created INTEGER NOT NULL,
            before BLOB NOT NULL,
            after BLOB NOT NULL,
            undo BLOB NOT NULL,
            reason TEXT NOT NULL,
            written_at REAL NOT NULL
        );
        CREATE INDEX journal_photo ON journal (photo_id);
        CREATE INDEX journal_pending ON journal (pending) WHERE pending;

        CREATE TABLE tombstones (
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            label TEXT NOT NULL,
            made_at REAL NOT NULL,
            PRIMARY KEY (photo_id, label)
        ) WITHOUT ROWID;

        CREATE TABLE meta (
            key TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
    (
        # A tag's words once for all photos: a sixth of the room, and searches read less.
        "0003_names",
        """
        CREATE TABLE names (
            id INTEGER PRIMARY KEY,
            word TEXT NOT NULL,       -- the label, case-folded, for search
            source TEXT NOT NULL CHECK (source IN ('model', 'user')),
            label TEXT NOT NULL,
            path TEXT NOT NULL,       -- JSON array, from the root of the hierarchy down
            UNIQUE (source, path, label)
        );
        INSERT INTO names (word, source, label, path)
            SELECT DISTINCT word, source, label, path FROM tags;
        CREATE INDEX names_word ON names (word);

        DROP INDEX tags_photo;
        ALTER TABLE tags RENAME TO old_tags;
        CREATE TABLE tags (
            name_id INTEGER NOT NULL REFERENCES names (id),
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            confidence REAL NOT NULL,
            position INTEGER NOT NULL,
            alone INTEGER NOT NULL,   -- 1: the photo has not the label above it in the path
            PRIMARY KEY (name_id, photo_id)
        ) WITHOUT ROWID;
        INSERT OR IGNORE INTO tags
            SELECT n.id, o.photo_id, o.confidence, o.position, 0
            FROM names n JOIN old_tags o
            ON (o.word, o.source, o.path, o.label) = (n.word, n.source, n.path, n.label)
            ORDER BY n.id, o.photo_id;
        DROP TABLE old_tags;
        CREATE INDEX tags_photo ON tags (photo_id);

        CREATE TABLE steps AS
            SELECT id, source, json(path) AS path, json_remove(path, '$[#-1]') AS above,
                label = json_extract(path, '$[#-1]') AS sound
            FROM names;
        CREATE INDEX steps_path ON steps (path);
        UPDATE tags SET alone = 1 WHERE name_id IN
            (SELECT id FROM steps WHERE above != '[]') AND NOT EXISTS
            (SELECT 1 FROM steps child JOIN steps parent
                ON parent.path = child.above AND parent.source = child.source AND parent.sound
                JOIN tags other ON other.name_id = parent.id AND other.photo_id = tags.photo_id
                WHERE child.id = tags.name_id);
        DROP TABLE steps;
        CREATE INDEX tags_alone ON tags (name_id, photo_id) WHERE alone;

        -- A walk through the dates need not look at the photos' rows for their status.
        DROP INDEX photos_sort;
        CREATE INDEX photos_sort ON photos (sort_at, status);
        """,
    ),
    (
        # What is to be looked at again is asked every minute, of a million photos as well.
        "0004_due",
        """
        CREATE INDEX photos_due ON photos (id) WHERE size IS NULL OR keywords_hash IS NULL;
        """,
    ),
    (
        # What changed a file and put its date back shows in the ctime only. NULL: not known
        # yet; the next scan takes the one that it sees, without opening the photo.
        "0005_ctime",
        """
        ALTER TABLE photos ADD COLUMN ctime_ns INTEGER;
        ALTER TABLE photos ADD COLUMN sidecar_ctime_ns INTEGER;
        """,
    ),
    (
        # Which further networks have looked at a photo; what they see is in its evidence. NULL:
        # no such network has.
        "0006_networks",
        """
        ALTER TABLE predictions ADD COLUMN scenes_id TEXT;
        ALTER TABLE predictions ADD COLUMN detector_id TEXT;
        ALTER TABLE predictions ADD COLUMN people INTEGER;  -- how many the detector saw
        CREATE INDEX predictions_people ON predictions (people);
        -- Whether a photo is to be completed is asked whenever there is nothing else to do.
        CREATE INDEX predictions_no_scenes ON predictions (scenes_id) WHERE scenes_id IS NULL;
        CREATE INDEX predictions_no_detector ON predictions (detector_id)
            WHERE detector_id IS NULL;
        """,
    ),
    (
        # How we left a file: by it a deletion is told from what a program never knew.
        "0007_seen",
        """
        ALTER TABLE journal ADD COLUMN seen TEXT NOT NULL DEFAULT '{}'; -- JSON: name -> values
        """,
    ),
    (
        # NULL: it was not looked for when the photo was opened.
        "0008_kinds",
        """
        ALTER TABLE photos ADD COLUMN kinds TEXT; -- what the file says it is: |selfie|edited|
        """,
    ),
    (
        # Only the check of `source` changes, and no byte of the content: as in section 7 of
        # https://www.sqlite.org/lang_altertable.html, else all tags would have to be copied.
        "0009_rules",
        """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql =
            replace(sql, '(''model'', ''user'')', '(''model'', ''user'', ''rule'')')
            WHERE type = 'table' AND name = 'names';
        PRAGMA writable_schema = RESET;

        -- Folders that were looked through once: what is first seen afterwards is new.
        CREATE TABLE rule_roots (
            root BLOB PRIMARY KEY,
            scanned_at REAL NOT NULL
        ) WITHOUT ROWID;

        -- New photos, until it is decided which rules they meet.
        CREATE TABLE rule_photos (
            photo_id INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            found_at REAL NOT NULL
        );

        -- What rules have tagged photos with; it is theirs as long as it has no tombstone.
        CREATE TABLE rule_tags (
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            label TEXT NOT NULL,
            PRIMARY KEY (photo_id, label)
        ) WITHOUT ROWID;

        -- What is to be done, and was done, for the photos that met a rule.
        CREATE TABLE rule_tasks (
            id INTEGER PRIMARY KEY,
            photo_id INTEGER REFERENCES photos (id) ON DELETE SET NULL,
            rule TEXT NOT NULL,
            action TEXT NOT NULL,     -- tag, copy_to, move_to, run or webhook
            state TEXT NOT NULL CHECK (state IN
                ('due', 'begun', 'done', 'failed', 'undoing', 'undone')),
            path BLOB NOT NULL,       -- the photo when the rule was met
            target BLOB,              -- where it was copied or moved to
            files TEXT NOT NULL DEFAULT '[]',  -- JSON: what is copied or moved, file by file
            tries INTEGER NOT NULL DEFAULT 0,
            made_at REAL NOT NULL,
            due_at REAL,              -- NULL: it is not to be done (any more)
            ended_at REAL,
            reason TEXT NOT NULL DEFAULT '',
            UNIQUE (photo_id, rule, action)
        );
        CREATE INDEX rule_tasks_due ON rule_tasks (due_at) WHERE due_at IS NOT NULL;
        CREATE INDEX rule_tasks_path ON rule_tasks (path);
        CREATE INDEX rule_tasks_target ON rule_tasks (target) WHERE target IS NOT NULL;
        """,
    ),
    (
        "0010_taught",
        f"""
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql =
            replace(sql, '(''model'', ''user'', ''rule'')',
                '(''model'', ''user'', ''rule'', ''taught'')')
            WHERE type = 'table' AND name = 'names';
        PRAGMA writable_schema = RESET;
        {TABLES}
        CREATE TABLE taught_models (
            model_id TEXT PRIMARY KEY,
            key TEXT NOT NULL,        -- what it was learned from
            model BLOB NOT NULL
        ) WITHOUT ROWID;
        """,  # noqa: S608 - our own text
    ),
    (
        # A photo that another network of scenes has seen is looked at again, too.
        "0011_seen_by",
        """
        DROP INDEX predictions_no_scenes;
        DROP INDEX predictions_no_detector;
        CREATE INDEX predictions_scenes ON predictions (scenes_id);
        CREATE INDEX predictions_detector ON predictions (detector_id);
        """,
    ),
    (
        # The perceptual hash of the whole picture (NULL: not made yet, empty: it has none), and
        # which photos belong together by it; of those that belong to none there is no row.
        "0012_pictures",
        """
        ALTER TABLE predictions ADD COLUMN picture_hash BLOB;
        CREATE INDEX predictions_no_picture ON predictions (photo_id) WHERE picture_hash IS NULL;
        ALTER TABLE photos ADD COLUMN grouped INTEGER; -- 1: it was compared with the others
        CREATE INDEX photos_not_grouped ON photos (id) WHERE grouped IS NULL;
        CREATE TABLE groups (
            photo_id INTEGER PRIMARY KEY REFERENCES photos (id) ON DELETE CASCADE,
            -- each the least id of those that belong together; NULL: it is alone
            picture INTEGER, series INTEGER, stack INTEGER
        );
        CREATE INDEX groups_picture ON groups (picture) WHERE picture IS NOT NULL;
        CREATE INDEX groups_series ON groups (series) WHERE series IS NOT NULL;
        CREATE INDEX groups_stack ON groups (stack) WHERE stack IS NOT NULL;
        """,
    ),
    (
        # 1: of all that show the same picture the user wants to keep this one.
        "0013_kept",
        """
        ALTER TABLE groups ADD COLUMN kept INTEGER;
        """,
    ),
    (
        # A photo that another network of subjects has seen is looked at again, too.
        "0014_seen_by_subjects",
        """
        CREATE INDEX predictions_model ON predictions (model_id);
        """,
    ),
    (
        # Mean and second moments of the features of the photos up to an id, by network.
        "0015_taught_statistics",
        """
        CREATE TABLE taught_statistics (
            model_id TEXT PRIMARY KEY,
            last_id INTEGER NOT NULL,
            moments BLOB NOT NULL
        );
        """,
    ),
)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the database to the newest schema.

    ``path`` is for messages. Raise StateError when the database is from a newer tagger.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL)"
    )
    done = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    if unknown := sorted(done - {name for name, _ in MIGRATIONS}):
        raise StateError(
            f"the index {path} was written by a newer tagger ({unknown[-1]})",
            "install that version again, or move the file away to start a new index",
        )
    for name, script in MIGRATIONS:
        if name in done:
            continue
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in split_statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))


def split_statements(script: str) -> list[str]:
    """Split SQL into statements; ``executescript`` would commit the open transaction."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    return statements
