FROM debian:bookworm-slim
ARG VERSION=1.0
RUN <<EOR
set -eux
apt-get update
apt-get install -y python3
EOR
RUN <<-PY
	#!/usr/bin/env python3
	import sys
	print(sys.version)
	PY
COPY <<EOF /etc/app.conf
version = ${VERSION}
price = \$5
EOF
COPY --chmod=755 <<'run.sh' /usr/bin/
#!/bin/sh
exec python3 "$@"
run.sh
RUN cat <<A > /a && cat <<"B" >> /a
first $HOME
A
second
B
