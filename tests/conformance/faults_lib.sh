# Sourced by the suites that run through a network that misbehaves; $source is the source tree, $dir a
# folder of the test's. Every promise has to hold there too: what can be tried again is.
# shellcheck shell=bash disable=SC2034 # its users use them
# FAULT EVERY METHODS, as fault_proxy.py has them. Few enough in a row for the attempts of a request.
faults=("500 3" "slowdown 7" "reset 4" "lost 4" "truncate 3 GET")
proxy_pid=

# faulty PORT FAULT EVERY [METHODS]: a proxy before that port of this machine; $proxy is its port.
faulty() {
  no_faults
  rm -f "$dir/proxy.port"
  python3 -u "$source/tests/integration/fault_proxy.py" "$@" >"$dir/proxy.port" &
  proxy_pid=$!
  until [ -s "$dir/proxy.port" ]; do
    kill -0 "$proxy_pid"
    sleep 0.05
  done
  proxy=$(cat "$dir/proxy.port")
}
no_faults() {
  [ -z "$proxy_pid" ] || kill "$proxy_pid" 2>/dev/null || true
  proxy_pid=
}
not_under() {
  echo "FAIL: under the fault '$1'"
  exit 1
}
