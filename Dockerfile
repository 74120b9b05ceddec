# ResNet18 image classification for Amazon SageMaker: one image that trains and serves, with or without a GPU.
# torch's wheels bring CUDA: a base image with CUDA would hold it twice.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

# Logs appear as they are written. Bytecode is compiled only here, while the image is built: it shortens the start, and
# a container may have a read-only file system.
# SageMaker's hosts give a container their GPUs if the NVIDIA variables ask for them.
ENV PATH=/opt/program:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /opt/program

# The layers that change least come first, so that a change of our code rebuilds in seconds.
COPY requirements/image.txt requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --no-deps --require-hashes --only-binary :all: -r requirements.txt

# ImageNet's weights are downloaded now, since a training job may have no network. An empty WEIGHTS_URL and
# WEIGHTS_SHA256 mean torchvision's file; WEIGHTS=none leaves the weights out.
COPY container/fetch_weights .
ARG WEIGHTS=imagenet
ARG WEIGHTS_URL=
ARG WEIGHTS_SHA256=
RUN if [ "$WEIGHTS" != none ]; then fetch_weights --url "$WEIGHTS_URL" --sha256 "$WEIGHTS_SHA256" weights; fi

# Any user can read the files, whatever the umask of the checkout.
COPY container/ .
RUN chmod -R a+rX classifier environment.py train serve && \
    python3 -m compileall -q --invalidation-mode unchecked-hash classifier

EXPOSE 8080
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true \
      com.amazonaws.sagemaker.capabilities.multi-models=true \
      org.opencontainers.image.title="ResNet18 image classification for Amazon SageMaker"
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=$REVISION

# In exec form, and without an entry point: SageMaker runs "IMAGE train" and "IMAGE serve", its local mode only "IMAGE".
CMD ["train"]
