# One image for every role: `docker run billing worker engine`. No embedded servers, no development tools.
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim AS build
ARG UV_VERSION=0.13.8
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
# The lock constrains versions; only what the product itself needs of it is installed.
RUN uv venv /opt/billing \
    && uv pip compile --quiet --constraint requirements.lock --no-header --no-annotate pyproject.toml -o runtime.txt \
    && VIRTUAL_ENV=/opt/billing uv pip install --no-cache --constraint requirements.lock -r runtime.txt
COPY api api
COPY cli cli
COPY domain domain
COPY infra infra
COPY processors processors
COPY projections projections
COPY schemas schemas
RUN VIRTUAL_ENV=/opt/billing uv pip install --no-cache --no-deps --build-constraint requirements.lock .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/billing billing
COPY --from=build /opt/billing /opt/billing
ENV PATH=/opt/billing/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BILLING_DATA_DIR=/var/lib/billing \
    BILLING_LOG_FORMAT=json \
    BILLING_API_HOST=0.0.0.0
USER billing
WORKDIR /var/lib/billing
VOLUME /var/lib/billing
EXPOSE 8000
ENTRYPOINT ["billing"]
CMD ["api"]
