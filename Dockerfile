# syntax=docker/dockerfile:1

# The registry and target folders are cache mounts: a second build compiles only what changed. Base images stand here by
# tag, so that a rebuild takes their security updates; a deployment pins the image that it has built, by digest.
#
#   docker build .                                    the image: the program, its libraries, licences
#   docker build --target debug --output out .        out/reveille.debug: its debug information
FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin reveille \
 && scripts/package.sh binary target/release/reveille /out \
 && scripts/notices.sh > /out/THIRD-PARTY.txt \
 && install -d -m 700 /out/home

FROM scratch AS debug
COPY --from=builder /out/reveille.debug /

# Only the C library, certificates and time zones: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /out/reveille /usr/bin/reveille
COPY --from=builder /out/THIRD-PARTY.txt /src/LICENSE /usr/share/doc/reveille/
COPY --from=builder --chown=10001:10001 /out/home /var/lib/reveille

USER 10001:10001
WORKDIR /var/lib/reveille
VOLUME /var/lib/reveille
EXPOSE 8083
ENV HOME=/var/lib/reveille \
    REVEILLE__API__LISTEN=0.0.0.0:8083 \
    REVEILLE__STORE__URL=sqlite:/var/lib/reveille/reveille.db
# With TLS: REVEILLE_ENDPOINT=https://localhost:8083, and REVEILLE_CA_FILE where the authority is your own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["reveille", "health"]
ENTRYPOINT ["reveille"]
CMD ["serve"]
