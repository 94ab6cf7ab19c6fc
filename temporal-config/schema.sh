#!/bin/sh
# Brings the schemas of Temporal's two databases up to date. May be run any number of times; run it
# before a newer server starts. The databases exist and belong to the role (README.md). The program
# temporal-sql-tool carries the schemas of the server that it was built with.
#
#   SQL_HOST=db.internal SQL_PORT=5432 SQL_USER=temporal SQL_PASSWORD=... ./schema.sh
#
# Its other variables (SQL_TLS, SQL_TLS_CA_FILE ...) are in temporal-sql-tool --help.
set -eu

: "${SQL_HOST:?}" "${SQL_PORT:?}" "${SQL_USER:?}" "${SQL_PASSWORD:?}"
export SQL_HOST SQL_PORT SQL_USER SQL_PASSWORD SQL_PLUGIN=postgres12_pgx

bring_up() { # database, schema
	# Version 0.0 makes the version tables; a database that is further stays where it is.
	temporal-sql-tool --database "$1" setup-schema --version 0.0
	temporal-sql-tool --database "$1" update-schema --schema-name "postgresql/v12/$2"
}

bring_up temporal temporal
bring_up temporal_visibility visibility
