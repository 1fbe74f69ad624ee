#!/usr/bin/env bash
# ceph-up.sh DIR [BUCKET...]: a real Ceph object gateway on ports of its own, with its data in memory
# (3 GiB at most, or CEPH_BYTES) and the buckets given. Prints "HTTP-PORT HTTPS-PORT". The key is
# AKTEST, the secret SKTEST; the certificate to trust is DIR/cert.pem. Needs root and Debian's
# ceph-mon, ceph-osd, radosgw.
# ceph-down.sh DIR ends it; DIR/run/NAME.pid are its processes (mon.a, osd.0, client.rgw).
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
mkdir -p "$dir"/{mon,osd,log,run}
cd "$dir"
read -r p0 p1 p2 p3 < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(4)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])')
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
id=$(cat /proc/sys/kernel/random/uuid)
cat >ceph.conf <<CONF
[global]
fsid = $id
mon host = [v2:127.0.0.1:$p1/0,v1:127.0.0.1:$p2/0]
public network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
paxos propose interval = 0.05
paxos min wait = 0.01
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = ${CEPH_BYTES:-3221225472}
osd memory target = 939524096
osd max object name len = 256
run dir = $dir/run
admin socket = $dir/run/\$name.asok
log file = $dir/log/\$name.log
pid file = $dir/run/\$name.pid
crash dir = $dir/run
mon data = $dir/mon
osd data = $dir/osd
mon cluster log file = $dir/log/cluster.log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$p0 ssl_endpoint=127.0.0.1:$p3 ssl_certificate=$dir/cert.pem ssl_private_key=$dir/key.pem
rgw data = $dir/run
rgw run sync thread = false
rgw enable usage log = false
rgw enable apis = s3, admin
rgw thread pool size = 16
rgw gc obj min wait = 1
rgw gc processor period = 1
ms mon client mode = crc
CONF
export CEPH_CONF=$dir/ceph.conf
conf=(--conf "$dir/ceph.conf")
{
  monmaptool --create --fsid "$id" --addv a "[v2:127.0.0.1:$p1,v1:127.0.0.1:$p2]" monmap
  ceph-mon "${conf[@]}" -i a --mkfs --monmap monmap
  ceph-mon "${conf[@]}" -i a
  osd=$(cat /proc/sys/kernel/random/uuid)
  ceph "${conf[@]}" --connect-timeout 20 osd new "$osd" 0
  ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$osd"
  ceph-osd "${conf[@]}" -i 0
  radosgw-admin "${conf[@]}" -n client.rgw user create --uid=t --display-name=t \
    --access-key=AKTEST --secret=SKTEST
  radosgw "${conf[@]}" -n client.rgw
} </dev/null >log/up.log 2>&1
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
for _ in $(seq 300); do
  curl -s -o /dev/null "http://127.0.0.1:$p0" && break
  sleep 0.1
done
for bucket in "$@"; do
  curl -fsS -o /dev/null -X PUT --aws-sigv4 aws:amz:us-east-1:s3 -u AKTEST:SKTEST \
    -H "x-amz-content-sha256: $empty" "http://127.0.0.1:$p0/$bucket"
done
echo "$p0 $p3"
