# mlp build of Dockerfiles: stages, copies with owners and modes, archives, here-documents, build
# arguments, secrets; what of it is made again; what cannot be built is named with its line.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/image_lib.sh"

make_base "$TEST_DIR/base"
export SOURCE_DATE_EPOCH=1700000000

make_project() {
  mkdir -p "$1/app/pkg" "$1/conf" && cd "$1"
  printf 'name: web\nimage: {dockerfile: Dockerfile, build_args: {VERSION: "7"}}\n' >mlp.yaml
  printf '#!/bin/sh\necho main\n' >app/main.sh
  echo module >app/pkg/m.txt
  echo a >conf/a.conf
  echo b >conf/b.conf
  echo no >conf/c.txt
  echo hidden >app/secret.key
  printf '*.tmp\n**/*.key\n' >.dockerignore
  mkdir -p packed/deep
  echo packed >packed/deep/file
  tar --sort=name --owner=7 --group=8 --numeric-owner --mtime=@1500000000 -czf things.tar.gz packed
  rm -r packed
  cat >Dockerfile <<DOCKER
# syntax=docker/dockerfile:1
ARG BASE=oci:$TEST_DIR/base
FROM \${BASE} AS builder
ARG VERSION=1
WORKDIR /build
RUN echo "built \$VERSION" > result && mkdir -p /out/bin && \\
    cp result /out/bin/result
RUN <<EOF
echo from-heredoc > /out/here
ln -s here /out/link
EOF

FROM \${BASE}
SHELL ["/bin/sh", "-ec"]
ENV MODE=live \\
    PATH=/opt/bin:/usr/bin:/bin
COPY --from=builder --chown=ada:ada /out/ /srv/
COPY --chmod=0750 app/main.sh /opt/bin/main
COPY conf/*.conf /etc/web/
COPY app /app
ADD things.tar.gz /unpacked/
COPY <<TEXT /etc/note
mode \${MODE}
TEXT
WORKDIR /app
RUN --mount=type=secret,id=TOKEN,required=true --mount=type=cache,target=/cache \\
    wc -c < /run/secrets/TOKEN > /etc/length; echo x > /cache/x; rm /etc/motd
USER 1000
LABEL org.example.team="a b" tier=1
EXPOSE 8080/tcp
VOLUME /data
HEALTHCHECK --interval=5s CMD main
ENTRYPOINT ["main"]
CMD ["--port", "80"]
DOCKER
}
make_project "$TEST_DIR/one"
expect_exit 4 mlp build
contains "$err" TOKEN
printf 'hunter2-hunter2' | mlp secret set TOKEN >/dev/null
expect_exit 0 mlp build --json
first=$(jq -r .digest <<<"$out")

config=$(mlp image inspect --json web)
store=.mlp/images/blobs/sha256
raw=$store/$(jq -r .config.digest "$store/${first#sha256:}" | cut -d: -f2)
equals "$(jq -c .config.Entrypoint "$raw")" '["main"]'
equals "$(jq -c .config.Cmd "$raw")" '["--port","80"]'
equals "$(jq -r .config.User "$raw")" 1000
equals "$(jq -r .config.WorkingDir "$raw")" /app
equals "$(jq -c .config.ExposedPorts "$raw")" '{"8080/tcp":{}}'
equals "$(jq -c .config.Volumes "$raw")" '{"/data":{}}'
equals "$(jq -r '.config.Labels["org.example.team"]' "$raw")" "a b"
equals "$(jq -c .config.Healthcheck.Test "$raw")" '["CMD-SHELL","main"]'
[ -n "$config" ] || fail "inspect says nothing"

inside() { mlp image run --user 0 --entrypoint /bin/sh web -c "$1"; }
equals "$(inside 'cat /srv/bin/result /srv/link /etc/note /etc/length /app/pkg/m.txt')" \
  "built 7
from-heredoc
mode live
15
module"
equals "$(inside 'ls /etc/web /app; ls /etc/motd /cache/x 2>/dev/null')" "/app:
main.sh
pkg

/etc/web:
a.conf
b.conf"
equals "$(mlp image run web)" main
files() { for l in $(jq -r '.layers[].digest' "$store/${first#sha256:}"); do zcat "$store/${l#sha256:}" | tar tvf - --numeric-owner; done; }
files >"$TEST_DIR/files"
grep -q '1000/1000 .* srv/bin/result' "$TEST_DIR/files" || fail "COPY --chown: $(grep srv "$TEST_DIR/files")"
grep -q '^-rwxr-x--- 0/0 .* opt/bin/main' "$TEST_DIR/files" || fail "COPY --chmod: $(grep opt "$TEST_DIR/files")"
grep -q '7/8 .* unpacked/packed/deep/file' "$TEST_DIR/files" || fail "ADD: $(grep packed "$TEST_DIR/files")"
if grep -q 'secret.key\|hunter2' "$TEST_DIR/files"; then fail ".dockerignore does not hold"; fi
for blob in "$store"/*; do
  if (zcat "$blob" 2>/dev/null || cat "$blob") | grep -q hunter2; then fail "the secret is in $blob"; fi
done

# The same elsewhere and later, from nothing.
(
  make_project "$TEST_DIR/two/b"
  touch -d 2001-01-01 app/main.sh
  export XDG_CACHE_HOME=$TEST_DIR/other-cache
  equals "$(mlp build --json --no-cache | jq -r .digest)" "$first"
)
expect_exit 0 mlp build --verify

# Only what depends on a change is made again.
made() { mlp build --json "$@" | jq -c '[.steps[] | select(.cached | not) | .step[:12]]'; }
sleep 0.1
mlp build -q >/dev/null
equals "$(made)" '[]'
echo 'echo other' >app/main.sh
equals "$(made | jq 'index("RUN echo \"bu") == null and length >= 2')" true
contains "$(made --build-arg VERSION=8)" 'RUN echo'
expect_exit 0 mlp build --build-arg VERSION=9 --target builder -t stage
equals "$(mlp image run stage cat /out/bin/result)" "built 9"

# What is wrong has its line.
try() { # WANTED LINE...: a Dockerfile of these lines fails with the message
  local wanted=$1
  shift
  printf '%s\n' "FROM oci:$TEST_DIR/base" "$@" >Dockerfile
  expect_exit "${code:-3}" mlp build
  contains "$err" "$wanted"
}
try "Dockerfile:2:" "RUNN echo"
try "ONBUILD" "ONBUILD RUN x"
try "Dockerfile:3:" "RUN true" "ADD https://example.org/x /x"
code=4 try "nothing matches 'nosuch'" "COPY nosuch /x"
code=1 try "Dockerfile:2" "RUN echo why not; exit 4"
contains "$err" "why not"
contains "$err" "exit code 4"
