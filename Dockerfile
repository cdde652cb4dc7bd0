# The operator's image.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" -t elasticjob-operator:0.1.0 .
#
# The base is pinned to an exact tag here, which a registry can move. A release pins its content, too, and records it:
#   --build-arg PYTHON="docker.io/library/python:3.12.16-slim-trixie@$(docker buildx imagetools inspect \
#     docker.io/library/python:3.12.16-slim-trixie --format '{{.Manifest.Digest}}')"
#
# 3.12, because from 3.13 on Python refuses the cluster CAs of several clouds (VERIFY_X509_STRICT).
ARG PYTHON=docker.io/library/python:3.12.16-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /src
COPY dev/install-uv.sh dev/uv.txt dev/
RUN dev/install-uv.sh python3
COPY pyproject.toml uv.lock ./
COPY dev/install-operator.sh dev/
COPY operator/src operator/src
RUN dev/install-operator.sh /app python3

FROM ${PYTHON}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ElasticJob operator" \
      org.opencontainers.image.description="PyTorch's elastic agent, native to Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN python3 -m pip uninstall --yes --root-user-action ignore pip
COPY --from=build /app /app
# Nothing is written: the root may be read-only, and there is no home to write to.
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
# -P: the working directory is no place for modules.
ENTRYPOINT ["python3", "-P", "-m", "elasticjob.controller"]
