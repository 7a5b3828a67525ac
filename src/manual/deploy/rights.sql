-- What a proxy, or whoever works on the recordings, needs of a PostgreSQL database that is not theirs: rows, and no tables.
--
--   createuser sealtape_proxy
--   psql --dbname=sealtape --username=sealtape --set=ON_ERROR_STOP=1 --file=rights.sql
--
-- Run it once as the owner, after his `sealtape keys generate` has made the tables. What a newer version adds to them is the
-- owner's to make as well: any command of his does, `sealtape keys list` for one, before the proxies are exchanged.

-- Servers that were upgraded from before 15 let everybody make tables there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO sealtape_proxy;
REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations FROM sealtape_proxy;
-- And on tables that newer versions make.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sealtape_proxy;
