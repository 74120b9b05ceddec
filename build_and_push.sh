#!/usr/bin/env bash
# Build the image, check that it works, push it to Amazon ECR, and print its URI. Also runs with macOS's bash 3.2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage="usage: ./build_and_push.sh [--name N] [--tag T] [--region R] [--profile P] [--no-push] [-- BUILD_OPTION...]

  --name N      name of the image and of its ECR repository (default: sagemaker-resnet18)
  --tag T       tag of the image besides latest (default: the git revision)
  --region R    AWS region (default: AWS_REGION, or the AWS command line's configuration)
  --profile P   profile of the AWS command line (default: the credentials that it finds)
  --no-push     only build and check; needs no AWS
  BUILD_OPTION  passed to the engine's build, such as --build-arg WEIGHTS=none

Standard output has only the URI, which is also kept in .image_uri for the launch scripts."

# podman stores a layer three times while it commits it.
GB_TO_BUILD=25
GB_TO_REBUILD=4
IMAGES_KEPT=5
MANIFEST=application/vnd.docker.distribution.manifest.v2+json

die() { echo "build_and_push.sh: $*" >&2; exit 1; }
say() { echo "build_and_push.sh: $*" >&2; }

main() {
    # SageMaker's own policies for roles permit pushing to repositories with "sagemaker" in their name.
    name=sagemaker-resnet18 tag="" region="" profile="" push=true
    while [ $# -gt 0 ]; do
        case $1 in
            --name | --tag | --region | --profile)
                [ -n "${2:-}" ] || die "$1 needs a value"
                printf -v "${1#--}" %s "$2"
                shift ;;
            --no-push) push=false ;;
            --help | -h) echo "$usage"; exit ;;
            --) shift; break ;;
            *) die "unknown argument $1; see --help" ;;
        esac
        shift
    done
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    exec 3>&1 1>&2

    find_engine
    find_tag
    check_disk
    if $push; then find_account; prepare_repository; fi
    network=none
    if in_studio; then network=sagemaker; set -- --network "$network" "$@"; fi
    build "$@"
    say "checking the image"
    # On the CPU, since the machine that builds may have a GPU that its engine does not pass on.
    "$engine" run --rm --platform linux/amd64 --network "$network" --env CUDA_VISIBLE_DEVICES=-1 \
        "$name:$tag" self_test ||
        die "the image does not work; it was not pushed"
    if ! $push; then echo "$name:$tag" >&3; exit; fi
    push_image
    echo "$uri:$tag" > .image_uri
    echo "$uri:$tag" >&3
}

find_engine() {
    local silent=""
    for engine in docker podman finch; do
        command -v "$engine" > /dev/null || continue
        if "$engine" info > /dev/null 2>&1; then return; fi
        silent=${silent:-$engine}
    done
    [ -z "$silent" ] || die "$silent is installed but does not answer: start its daemon or virtual machine"
    die "no container engine: install docker, podman or finch"
}

find_tag() {
    revision=$(git rev-parse --short=12 HEAD 2> /dev/null) || revision=""
    [ -n "$revision$tag" ] || die "there is no git revision to use as the tag: use --tag"
    # Only files of the image: the launch scripts' settings may differ from the committed ones.
    if [ -n "$(git status --porcelain -- Dockerfile .dockerignore requirements/image.txt container 2> /dev/null)" ]; then
        revision=$revision-dirty
        say "the image has changes that are not committed, so its revision is $revision"
    fi
    tag=${tag:-$revision}
}

# If the engine's storage is in a virtual machine, its free space cannot be read here.
check_disk() {
    local format="{{.DockerRootDir}}" needed=$GB_TO_BUILD storage free
    if [ "$engine" = podman ]; then format="{{.Store.GraphRoot}}"; fi
    if "$engine" image inspect "$name:latest" > /dev/null 2>&1; then needed=$GB_TO_REBUILD; fi
    storage=$("$engine" info --format "$format" 2> /dev/null) || return 0
    if [ ! -d "$storage" ]; then return; fi
    free=$(df -Pk "$storage" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$needed" ] || die "$storage has $free GB free; needed: $needed GB"
}

find_account() {
    local identity domain=amazonaws.com
    command -v aws > /dev/null || die "the AWS command line is missing: install awscli, or use --no-push"
    export AWS_PAGER=""
    if [ -n "$profile" ]; then export AWS_PROFILE=$profile; fi
    region=${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2> /dev/null || true)}}}
    [ -n "$region" ] || die "no region: use --region, AWS_REGION or aws configure"
    export AWS_REGION=$region AWS_DEFAULT_REGION=$region # version 1 knows only the second
    identity=$(aws_or_die "no valid AWS credentials" sts get-caller-identity --query Account --output text)
    case $region in cn-*) domain=amazonaws.com.cn ;; esac
    registry=$identity.dkr.ecr.$region.$domain
    uri=$registry/$name
}

# Run the AWS command line; if it fails, die with a sentence that ends with its last line.
aws_or_die() {
    local sentence=$1
    shift
    aws "$@" 2> "$scratch/error" || die "$sentence: $(tail -n 1 "$scratch/error")"
}

# Done before the build, so that a user who may not push learns it at once.
prepare_repository() {
    local password
    if ! aws ecr describe-repositories --repository-names "$name" > /dev/null 2> "$scratch/error"; then
        grep -q RepositoryNotFoundException "$scratch/error" || die "ECR in $region: $(tail -n 1 "$scratch/error")"
        create_repository
    fi
    password=$(aws_or_die "no login to ECR in $region" ecr get-login-password)
    printf %s "$password" | "$engine" login --username AWS --password-stdin "$registry" > "$scratch/error" 2>&1 ||
        die "$engine cannot log in to $registry: $(tail -n 1 "$scratch/error")"
}

create_repository() {
    aws_or_die "the ECR repository $name cannot be created" ecr create-repository --repository-name "$name" \
        --image-scanning-configuration scanOnPush=true --tags Key=created-by,Value=build_and_push.sh > /dev/null
    say "created the ECR repository $name in $region, which keeps the $IMAGES_KEPT newest images"
    aws ecr put-lifecycle-policy --repository-name "$name" --lifecycle-policy-text '{"rules": [{"rulePriority": 1,
        "description": "each image has several GB",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": '"$IMAGES_KEPT"'},
        "action": {"type": "expire"}}]}' > /dev/null 2> "$scratch/error" ||
        say "it will keep all images, since its lifecycle rule was rejected: $(tail -n 1 "$scratch/error")"
}

# SageMaker accepts only Docker's own manifest: no OCI manifest, and no index, hence no attestations.
build() {
    local tool
    case $engine in
        docker)
            tool=(docker build)
            if docker buildx version > /dev/null 2>&1; then
                tool=(docker buildx build --provenance=false --sbom=false --output type=docker)
            fi ;;
        podman) tool=(podman build --format docker) ;;
        finch) tool=(finch build --output type=docker) ;;
    esac
    say "building $name:$tag with $engine"
    "${tool[@]}" --platform linux/amd64 --build-arg "REVISION=${revision:-unknown}" \
        --tag "$name:$tag" --tag "$name:latest" "$@" . || die "the build failed"
}

# SageMaker Studio allows builds and containers only on its own network.
in_studio() { grep -q '"AppType"' /opt/ml/metadata/resource-metadata.json 2> /dev/null; }

push_image() {
    local one type
    for one in "$tag" latest; do
        "$engine" tag "$name:$tag" "$uri:$one"
        "$engine" push "$uri:$one" || die "$uri:$one could not be pushed"
    done
    if ! type=$(aws ecr describe-images --repository-name "$name" --image-ids "imageTag=$tag" \
        --query "imageDetails[0].imageManifestMediaType" --output text 2> "$scratch/error"); then
        say "the manifest of the pushed image was not checked: $(tail -n 1 "$scratch/error")"
    elif [ "$type" != $MANIFEST ]; then
        die "$uri:$tag has a manifest that SageMaker does not accept: $type"
    fi
}

main "$@"
