-- Stop, timed, reduce-only and bracket orders; terms asked for are JSON.
ALTER TABLE orders ADD COLUMN stop_ticks bigint NOT NULL DEFAULT 0;

ALTER TABLE orders ADD COLUMN expire_ns bigint NOT NULL DEFAULT 0;

ALTER TABLE orders ADD COLUMN reduce_only boolean NOT NULL DEFAULT false;

ALTER TABLE orders ADD COLUMN take_ticks bigint NOT NULL DEFAULT 0;

ALTER TABLE orders ADD COLUMN loss_ticks bigint NOT NULL DEFAULT 0;

ALTER TABLE orders ADD COLUMN "group" text NOT NULL DEFAULT '';

ALTER TABLE orders ADD COLUMN pending text;

ALTER TABLE orders ADD COLUMN asked text;
