FROM python:3.12 AS Builder
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
COPY pyproject.toml README.md ./
COPY src/ ./src/
RUN pip install .[serve]

FROM python:3.12-slim AS base
RUN groupadd -r app && useradd --no-log-init -r -g app app

FROM base AS test
COPY --from=builder /opt/venv /opt/venv
COPY tests tests
RUN /opt/venv/bin/python -m pytest tests

FROM base
COPY --from=builder --chown=app:app /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --retries=3 \
  CMD curl -fsS http://localhost:8080/v2/health/ready || exit 1
ENTRYPOINT ["python", "-m", "serve"]
CMD ["--port", "8080"]
