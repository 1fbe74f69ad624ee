from debian:12-slim as build
run apt-get update && apt-get install -y python3-venv gcc libpython3-dev && \
    python3 -m venv /venv && /venv/bin/pip install --upgrade pip
from build as build-venv
copy requirements.txt /requirements.txt
run /venv/bin/pip install --disable-pip-version-check -r /requirements.txt
from gcr.io/distroless/python3-debian12
copy --from=build-venv /venv /venv
copy . /app
workdir /app
healthcheck none
entrypoint ["/venv/bin/python3", "psutil_example.py"]
