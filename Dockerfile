# Two images; neither holds a compiler or runs as root.
#   docker build --target train --tag boxless-train .
#   docker build --target serve --tag boxless-serve .
# PyTorch without CUDA: --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, which PyTorch's page of installation names.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS source
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/boxless

FROM source AS train-build
ARG PIP_EXTRA_INDEX_URL
RUN /opt/boxless/bin/pip install --no-cache-dir -c constraints.txt '.[train,serve]'

FROM source AS serve-build
RUN /opt/boxless/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

# Any --user works: what libraries write for themselves goes to /tmp. A number lets Kubernetes see that it is not root.
FROM python:${PYTHON}-slim AS base
ENV PATH=/opt/boxless/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home boxless
USER 10001
WORKDIR /data

FROM base AS train
COPY --from=train-build /opt/boxless /opt/boxless
ENTRYPOINT ["boxless"]
CMD ["--help"]

FROM base AS serve
COPY --from=serve-build /opt/boxless /opt/boxless
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
ENTRYPOINT ["boxless", "serve"]
CMD ["/data/student.onnx", "--host", "0.0.0.0"]
