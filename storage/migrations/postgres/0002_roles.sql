-- Two groups that log-in roles are put into: one that the platform writes by, one for reports. What
-- happened (decisions, fills, audit, market data) can be added to and never changed by either.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tickpath_writer') THEN
    CREATE ROLE tickpath_writer NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tickpath_reader') THEN
    CREATE ROLE tickpath_reader NOLOGIN;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE EXCEPTION 'the roles tickpath_writer and tickpath_reader must be made by an administrator';
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO tickpath_writer, tickpath_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO tickpath_writer, tickpath_reader;

GRANT INSERT ON scenarios, decisions, orders, fills, positions, accounts, limits, audit, market_data
  TO tickpath_writer;

GRANT UPDATE ON orders, positions, accounts, limits TO tickpath_writer;

GRANT DELETE ON scenarios TO tickpath_writer;
