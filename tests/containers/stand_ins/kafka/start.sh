#!/usr/bin/env bash
# KAFKA_LOG_DIRS=… becomes log.dirs=…; storage is formatted once; then the broker takes this process's place.
set -euo pipefail

properties=/opt/kafka/config/server.properties
env | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=\(.*\)$/\1 \2/p' | while read -r name value; do
    case $name in
        HEAP_OPTS | JVM_PERFORMANCE_OPTS | OPTS) ;;
        *) echo "$(tr 'A-Z_' 'a-z.' <<<"$name")=$value" ;;
    esac
done >"$properties"

# shellcheck disable=SC2086 # options of the JVM, several in one variable
run() { exec java ${KAFKA_HEAP_OPTS:--Xmx512m} -XX:-UsePerfData -Djava.awt.headless=true -cp "/opt/kafka/libs/*" "$@"; }

(run kafka.tools.StorageTool format --ignore-formatted --cluster-id "${CLUSTER_ID:-c3RhbmQtaW4tY2x1c3Rlcg}" -c "$properties")
run kafka.Kafka "$properties"
