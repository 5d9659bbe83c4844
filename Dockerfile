# One image for every service: `docker run portcullis services.execution --config FILE`.
#
# Built from the lock alone: every package by its hash, nothing resolved. What runs has no package
# installer, no test and no simulation inside, needs no shell, and writes nowhere but to volumes.

ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY deploy/image/requirements.py requirements.lock /build/
# The broker has a container of its own, so the server's wheel stays out (deploy/image/requirements.py).
RUN python /build/requirements.py /build/requirements.lock > /build/image.lock \
    && python -m venv --without-pip /opt/portcullis/venv \
    && python -m pip --python /opt/portcullis/venv/bin/python install \
        --no-compile --no-deps --only-binary :all: --require-hashes -r /build/image.lock
COPY libs /opt/portcullis/app/libs
COPY services /opt/portcullis/app/services
COPY cli /opt/portcullis/app/cli
COPY deploy/image/portcullis.py /opt/portcullis/venv/bin/portcullis
# Compiled here, because nothing can be written later; by hash, so that two builds are the same.
RUN chmod 0555 /opt/portcullis/venv/bin/portcullis \
    && /opt/portcullis/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/portcullis/venv/lib /opt/portcullis/app \
    && for name in authority broker feed signal risk execution reconciler provision operator; do \
        install -d -m 0700 "/volumes/keys/$name"; done \
    && install -d -m 0700 /volumes/broker-store /volumes/venue-store /volumes/audit /volumes/desk /volumes/metrics

FROM ${PYTHON_IMAGE}
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Portcullis" \
      org.opencontainers.image.description="Executes automated trading strategies on Binance USD-M Futures, and fails closed." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/portcullis /opt/portcullis
# Empty volumes take their owner from here, so that nothing ever has to run as root.
COPY --from=build --chown=10001:10001 /volumes /volumes
# A service without its configuration says that it cannot read it, instead of taking the defaults.
ENV PATH=/opt/portcullis/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/portcullis/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    PORTCULLIS_CONFIG=/config/portcullis.yaml
# Elsewhere than the code: services/signal must never hide the standard library's.
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["cli", "--help"]
