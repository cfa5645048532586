# Sumi's server, and the nodes of its cluster, in one image. docs/cluster.md says how to use it.
#
#   docker build -t sumi .                                    for the CPU
#   docker build -t sumi:cuda --build-arg TORCH=torch .       for NVIDIA GPUs: PyPI's torch brings CUDA's libraries
#   docker run -p 127.0.0.1:8188:8188 -e SUMI_TOKEN=… -v sumi:/data -v ./models:/data/models sumi [flags of main.py serve]
#
# Code and packages belong to root, and the server runs as an ordinary user (1000), who can write only into /data.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG NODE_IMAGE=node:22-bookworm-slim

FROM ${NODE_IMAGE} AS editor
WORKDIR /sumi/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY docs/lesson.md docs/lesson.zh.md ../docs/
COPY workflows ../workflows
COPY web ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS packages
ARG TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install ${TORCH}
WORKDIR /sumi
COPY pyproject.toml ./
RUN /opt/venv/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print(*p['dependencies'], *p['optional-dependencies']['cluster'], sep='\n')" > /tmp/packages.txt \
    && /opt/venv/bin/pip install --requirement /tmp/packages.txt
# Without the parts that only compilers, Java programs and the packages' own tests use.
RUN cd /opt/venv/lib/python3*/site-packages \
    && rm -rf torch/include torch/share/cmake torch/lib/*.a torch/test ray/jars ray/rllib \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find numpy scipy sympy networkx -type d -name tests -prune -exec rm -rf {} +

FROM ${PYTHON_IMAGE}
RUN useradd --uid 1000 --user-group --create-home sumi \
    && for folder in models input output user custom_nodes; do install -d -o sumi -g sumi /data /data/$folder; done
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /sumi
COPY main.py install.py pyproject.toml README.md LICENSE NOTICE ./
COPY commands commands
COPY graph graph
COPY nodes nodes
COPY server server
COPY workflows workflows
COPY models models
COPY deploy/embedded_models.yaml ./
COPY --from=editor /sumi/web/dist web/dist
# Read-only for the server, so what it would cache beside its code is made here: byte code, and the hashes of the nodes.
RUN pip install --no-cache-dir --no-deps --editable . \
    && python -m compileall -q main.py install.py commands graph nodes server \
    && python main.py nodes > /dev/null
USER sumi
WORKDIR /data
VOLUME /data
EXPOSE 8188
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8188/readyz', timeout=4)"]
# The embedded model stays where a volume over /data/models cannot hide it.
ENTRYPOINT ["python", "/sumi/main.py", "serve", "--base-directory=/data", \
            "--extra-model-paths-config=/sumi/embedded_models.yaml", "--listen=0.0.0.0"]
CMD []
