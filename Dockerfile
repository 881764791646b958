# The image holds one static binary and nothing else. Stdio upstreams need their own runtimes (Node.js, Python …):
# build an image FROM one that has them and copy /headgate into it.

FROM golang:1.26 AS build
WORKDIR /src
# Dependencies first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/headgate ./cmd/headgate \
    && install -d -m 0700 -o 65532 -g 65532 /out/data

FROM scratch
# Upstreams are reached over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/headgate /headgate
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
VOLUME /data
# Clients, and the admin listener with /healthz and /readyz.
EXPOSE 8970 8971
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/headgate", "healthcheck"]
ENTRYPOINT ["/headgate"]
CMD ["serve", "-c", "/etc/headgate/headgate.yaml"]
