#!/bin/sh
# Writes .env for compose.yaml, with fresh secrets, unless there is one already. Another folder may be
# given. MASTER_KEY seals what vendors store: keep a copy of it apart from the database's backups.
set -eu
dir=${1:-$(dirname "$0")}
[ -e "$dir/.env" ] && { echo "$dir/.env is there already; nothing was changed"; exit 0; }
umask 077

hex() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

cat > "$dir/.env.new" <<END
POSTGRES_PASSWORD=$(hex)
KLOYST_OWNER_PASSWORD=$(hex)
KLOYST_APP_PASSWORD=$(hex)
KLOYST_WEBHOOK_PASSWORD=$(hex)
KLOYST_RELAY_PASSWORD=$(hex)
KLOYST_OPERATOR_PASSWORD=$(hex)
TEMPORAL_PASSWORD=$(hex)
REDIS_PASSWORD=$(hex)
MASTER_KEY=$(key)
JWT_SIGNING_KEY=$(key)
TEMPORAL_CODEC_KEYS=k1:$(key)
META_APP_SECRET=$(hex)
META_VERIFY_TOKEN=$(hex)
END
mv "$dir/.env.new" "$dir/.env"
echo "wrote $dir/.env"
