#!/usr/bin/env bash
# nginx-up.sh DIR FOLDER [HTPASSWD]: a real nginx that serves FOLDER as it lies, by HTTP, with basic
# authentication if there is a file for it. With TLS=yes by HTTPS, as "localhost", with a certificate
# of its own: DIR/cert.pem. Prints its port; nginx-down.sh DIR ends it.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
auth=
[ $# -lt 3 ] || auth="auth_basic team; auth_basic_user_file $3;"
tls=
scheme=http
if [ "${TLS:-no}" = yes ]; then
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" -days 30 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
  tls="ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;"
  scheme=https
fi
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
    listen 127.0.0.1:$port${tls:+ ssl};
    $tls
    root $(cd "$2" && pwd);
    $auth
  }
}
CONF
PATH=$PATH:/usr/sbin nginx -c "$dir/nginx.conf" -e "$dir/error.log" </dev/null >"$dir/log" 2>&1
for _ in $(seq 100); do
  curl -sk -o /dev/null "$scheme://127.0.0.1:$port/" && break
  sleep 0.05
done
echo "$port"
