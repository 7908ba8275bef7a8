# syntax=docker/dockerfile:1

# The registry and target folders are cache mounts: a second build compiles only what changed. Base images stand here by
# tag, so that a rebuild takes their security updates; a deployment pins the image that it has built, by digest.
FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin reveille \
 && cp target/dist/reveille /usr/local/bin/reveille \
 && scripts/notices.sh > /usr/local/share/THIRD-PARTY.txt

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/reveille reveille \
 && chmod 700 /var/lib/reveille
COPY --from=builder /usr/local/bin/reveille /usr/local/bin/reveille
COPY --from=builder /usr/local/share/THIRD-PARTY.txt /src/LICENSE /usr/share/doc/reveille/

USER reveille
WORKDIR /var/lib/reveille
VOLUME /var/lib/reveille
EXPOSE 8083
ENV REVEILLE__API__LISTEN=0.0.0.0:8083 \
    REVEILLE__STORE__URL=sqlite:/var/lib/reveille/reveille.db
# With TLS: REVEILLE_ENDPOINT=https://localhost:8083, and REVEILLE_CA_FILE where the authority is your own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["reveille", "health"]
ENTRYPOINT ["reveille"]
CMD ["serve"]
