# docker build -t penstock .
# docker build -t penstock:embedded --build-arg EXTRAS=embedded .     with the engine for `penstock up`
#
# Builds with the classic builder as well as with BuildKit.

ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
ARG EXTRAS=""
# uv is here for the build only. It is taken from the same line as for .venv, so there is one version to renew.
COPY tools/bootstrap.py /tmp/bootstrap.py
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check \
        "$(sed -n 's/^UV = "\(.*\)"$/\1/p' /tmp/bootstrap.py)"
ENV UV_PROJECT_ENVIRONMENT=/opt/penstock \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --quiet --frozen --no-install-project ${EXTRAS:+--extra ${EXTRAS}}

FROM dependencies AS code
COPY README.md LICENSE ./
COPY schemas schemas
COPY penstock penstock
COPY ingest ingest
COPY consumers consumers
COPY query_api query_api
# What it adds to the dependencies goes to /code.
RUN touch /tmp/before && sleep 0.1 \
    && /opt/uv/bin/uv sync --quiet --frozen --no-editable ${EXTRAS:+--extra ${EXTRAS}} \
    && mkdir /code \
    && find /opt/penstock -type f -cnewer /tmp/before -exec cp --parents {} /code ";"

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="penstock" \
      org.opencontainers.image.description="Self-hosted event tracking: acknowledged events are never lost and never counted twice." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 penstock \
    && useradd --uid 10001 --gid penstock --no-create-home --home-dir /var/lib/penstock --shell /usr/sbin/nologin penstock \
    && install -d -o penstock -g penstock -m 0750 /var/lib/penstock
# What the official image has for building packages is not needed to run one.
RUN if python3 -m pip --version > /dev/null 2>&1; then \
        python3 -m pip uninstall --quiet --yes --root-user-action ignore setuptools wheel pip; \
    fi
# The dependencies change less often than the code: a layer of their own.
COPY --from=dependencies /opt/penstock /opt/penstock
COPY --from=code /code/opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PORT=8080
USER 10001:10001
# `penstock up` keeps its data in ./penstock-data below this; the other processes keep none.
WORKDIR /var/lib/penstock
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive, on the port that PORT names, as to penstock. Starting Python for it would take more than the answer does.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && test $status = 200"]
ENTRYPOINT ["penstock"]
CMD ["--help"]
