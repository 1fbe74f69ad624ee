#!/usr/bin/env bash
# prometheus-up.sh DIR TARGET: a real Prometheus that scrapes TARGET (host:port) every second.
# Prints its own port. Its process id is in DIR/pid; prometheus-down.sh DIR ends it.
set -euo pipefail
dir=$1 target=$2
mkdir -p "$dir"
cat >"$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: mlp
    static_configs: [{targets: ["$target"]}]
YAML
# Prometheus does not tell which port it took for :0, so ask the kernel for a free one first.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
setsid prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data" \
  --web.listen-address="127.0.0.1:$port" </dev/null >"$dir/log" 2>&1 &
echo $! >"$dir/pid"
for _ in $(seq 100); do
  curl -fsS "http://127.0.0.1:$port/-/ready" >/dev/null 2>&1 && break
  sleep 0.1
done
echo "$port"
