# The image of worker, beat, web and all other commands. It needs a Redis and a database beside it:
# docker-compose.yml has both. Only hash-checked packages are installed.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/leadsync \
 && /opt/leadsync/bin/pip install --only-binary=:all: --require-hashes -r requirements.lock \
 && pip install --only-binary=:all: --require-hashes -r requirements-build.lock
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/leadsync/bin/pip install --no-deps dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/leadsync --create-home leadsync
COPY --from=build /opt/leadsync /opt/leadsync
ENV PATH=/opt/leadsync/bin:$PATH PYTHONUNBUFFERED=1
USER leadsync
WORKDIR /var/lib/leadsync
ENTRYPOINT ["leadsync"]
CMD ["--help"]
