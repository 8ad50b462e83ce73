# The three services of a cluster: docker-compose.yml, docs/operations/cluster.md.

# The release of Python that the tests run on.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/chat4all && python -m venv /opt/build
# Wheels only, no compiler; pyvips alone is published as nothing but source. What makes its wheel is
# in the lock file too, and without cffi there it is all Python: what is compiled of it is in
# pyvips-binary. A change of our source begins below this and fetches nothing.
COPY requirements/cluster.txt requirements/build.txt requirements/
RUN /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements/build.txt \
    && /opt/build/bin/pip wheel --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --no-binary pyvips --no-build-isolation \
        --wheel-dir /wheels -r requirements/cluster.txt \
    && /opt/chat4all/bin/pip install --no-cache-dir --disable-pip-version-check \
        --no-index --no-deps /wheels/*.whl
COPY pyproject.toml README.md LICENSE ./
COPY bench bench
COPY clients clients
COPY src src
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
    && /opt/chat4all/bin/pip install --no-deps --no-cache-dir --disable-pip-version-check /dist/*.whl \
    && /opt/chat4all/bin/pip uninstall --quiet --yes setuptools pip \
    && /opt/chat4all/bin/python -m compileall -q /opt/chat4all/lib

FROM python:3.11-slim-bookworm
# A number, so that a platform can see that it is not root; the volume of the secrets is this user's.
RUN groupadd --gid 10001 chat4all \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent chat4all \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/chat4all
COPY --from=build /opt/chat4all /opt/chat4all
ENV PATH=/opt/chat4all/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHAT4ALL_HOST=0.0.0.0 \
    CHAT4ALL_DATA=/var/lib/chat4all/data
USER 10001:10001
WORKDIR /var/lib/chat4all
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
# The gateway's port, CHAT4ALL_PORT; the compose file has the other services'.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
    CMD ["chat4all", "ready"]
ENTRYPOINT ["chat4all"]
CMD ["gateway"]
