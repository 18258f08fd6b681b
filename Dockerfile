# linkodds serve, for a run that lies outside the image:
#   docker build -t linkodds .
#   docker run --rm -p 127.0.0.1:8350:8350 -v "$PWD/run:/runs/run:ro" -e LINKODDS_TOKEN=at-least-16-characters linkodds
# The token is asked of every request (only /healthz goes without): inside a container serve listens beyond loopback.

FROM python:3.12-slim AS build
WORKDIR /source
RUN pip install --no-cache-dir build
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m build --wheel --outdir /dist

FROM python:3.12-slim
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /dist /dist
# The CPU build of PyTorch first, so that pip leaves it alone afterwards: serving needs no GPU. LightGBM needs OpenMP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt /dist/*.whl \
    && rm -rf /dist /tmp/constraints.txt \
    && useradd --system --create-home --uid 10001 linkodds

USER 10001
WORKDIR /home/linkodds
ENV OMP_NUM_THREADS=1 MPLCONFIGDIR=/tmp PYTHONUNBUFFERED=1
EXPOSE 8350
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8350/healthz', timeout=4)"]
ENTRYPOINT ["linkodds", "serve", "--host", "0.0.0.0", "--port", "8350"]
CMD ["/runs/run"]
