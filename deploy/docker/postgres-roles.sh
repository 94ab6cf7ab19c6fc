#!/bin/bash
# Run by the postgres image when it makes its cluster: the product's roles and its database, each
# with a password of its own, and Temporal's. The migrations grant rights to the roles, so these come
# first; until then a role may log in and do nothing. A role reaches its own database only.
set -euo pipefail

# psql reads the passwords from the environment itself: a command line is readable by other programs.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner KLOYST_OWNER_PASSWORD
\getenv app KLOYST_APP_PASSWORD
\getenv webhook KLOYST_WEBHOOK_PASSWORD
\getenv relay KLOYST_RELAY_PASSWORD
\getenv operator KLOYST_OPERATOR_PASSWORD
\getenv temporal TEMPORAL_PASSWORD
SET log_min_duration_statement = -1;
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
CREATE ROLE kloyst_owner LOGIN PASSWORD :'owner';
CREATE ROLE kloyst_app LOGIN PASSWORD :'app';
CREATE ROLE kloyst_webhook LOGIN PASSWORD :'webhook';
CREATE ROLE kloyst_relay LOGIN PASSWORD :'relay';
CREATE ROLE kloyst_operator LOGIN PASSWORD :'operator';
CREATE ROLE temporal LOGIN PASSWORD :'temporal';

CREATE DATABASE kloyst OWNER kloyst_owner;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;

REVOKE ALL ON DATABASE postgres, template1, kloyst, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE kloyst TO kloyst_app, kloyst_webhook, kloyst_relay, kloyst_operator;
SQL
