#!/usr/bin/env bash
# nginx-up.sh DIR FOLDER [HTPASSWD]: a real nginx that serves FOLDER as it lies, by HTTP, with basic
# authentication if there is a file for it. Prints its port; nginx-down.sh DIR ends it.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
auth=
[ $# -lt 3 ] || auth="auth_basic team; auth_basic_user_file $3;"
cat >"$dir/nginx.conf" <<CONF
user $(id -un);
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 256; }
http {
  access_log $dir/access.log;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  server {
    listen 127.0.0.1:$port;
    root $(cd "$2" && pwd);
    $auth
  }
}
CONF
PATH=$PATH:/usr/sbin nginx -c "$dir/nginx.conf" -e "$dir/error.log" </dev/null >"$dir/log" 2>&1
for _ in $(seq 100); do
  curl -s -o /dev/null "http://127.0.0.1:$port/" && break
  sleep 0.05
done
echo "$port"
