# geobatch for images and tables; `--build-arg EXTRAS=tfrecord,table` adds TensorFlow (600 MB).
FROM python:3.13-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
ARG EXTRAS=table
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY geobatch geobatch
RUN uv venv /opt/geobatch && \
    uv pip install --no-cache --python /opt/geobatch/bin/python ".[${EXTRAS}]"

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="geobatch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/geobatch/geobatch"
# rasterio's wheel brings GDAL, but not the library that GDAL reads XML with.
RUN apt-get update && \
    apt-get install -y --no-install-recommends libexpat1=2.5.* && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --create-home --uid 1000 geobatch
COPY --from=build /opt/geobatch /opt/geobatch
ENV PATH=/opt/geobatch/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 1000
WORKDIR /work
ENTRYPOINT ["geobatch"]
CMD ["--help"]
