# ResNet18 image classification for Amazon SageMaker: one image that trains and serves, on a GPU or without.
# CUDA comes with torch's wheels: a base image with CUDA would hold it twice.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

# Logs appear as they are written. All bytecode is made here, while the image is built: it shortens the start,
# and nothing tries to write it into a read-only file system later.
# SageMaker's hosts give a container their GPUs where the NVIDIA variables ask for them.
ENV PATH=/opt/program:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/program

# Layers from the one that changes least to the one that changes most: a change of our code rebuilds in seconds.
COPY requirements/image.txt requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --no-deps --require-hashes --only-binary :all: -r requirements.txt

# ImageNet's weights are fetched now, since a training job may have no network. An empty WEIGHTS_URL and
# WEIGHTS_SHA256 mean torchvision's own file; WEIGHTS=none leaves the weights out.
COPY container/fetch_weights .
ARG WEIGHTS=imagenet
ARG WEIGHTS_URL=
ARG WEIGHTS_SHA256=
RUN if [ "$WEIGHTS" != none ]; then fetch_weights --url "$WEIGHTS_URL" --sha256 "$WEIGHTS_SHA256" weights; fi

# chmod: readable for any user, whatever umask the checkout was made with.
COPY container/ .
RUN chmod -R a+rX classifier train serve && \
    python3 -m compileall -q --invalidation-mode unchecked-hash classifier

EXPOSE 8080
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true \
      org.opencontainers.image.title="ResNet18 image classification for Amazon SageMaker"
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=$REVISION

# Exec form, and no entry point: SageMaker runs "IMAGE train" and "IMAGE serve", its local mode only "IMAGE".
CMD ["train"]
