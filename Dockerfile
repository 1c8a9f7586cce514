# syntax=docker/dockerfile:1
# One image for every process of ours: the command says which. Targets: the last one, and `loadtest`.

# The version that the tests run on.
FROM python:3.11.14-slim-bookworm AS base

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

FROM base
RUN groupadd --gid 10001 holdfast && useradd --uid 10001 --gid holdfast --home-dir /tmp --no-create-home holdfast
COPY --from=build /opt/holdfast /opt/holdfast
# A new volume at /etc/holdfast begins with this file: nobody is let in until there is a key.
RUN install -d -o 10001 -g 10001 -m 0750 /etc/holdfast \
    && echo '{"keys": []}' | install -o 10001 -g 10001 -m 0600 /dev/stdin /etc/holdfast/keys.json
ENV PATH=/opt/holdfast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
CMD ["python", "-m", "api"]
