#!/usr/bin/env bash
# Make, once a project, what cluster/gcp.yaml names, and print that file filled in. What exists is left as it is.
#
#     cluster/gcp-prepare.sh my-bucket 203.0.113.7/32 us-central1-a > my-gcp.yaml
#
# The second argument is who may ssh to the machines: your own address, or your company's range. The project is the one
# that your `gcloud` is configured for. Makes a bucket, an image repository, a network with two rules and the accounts
# of head and workers; starts nothing.
set -euo pipefail

fail() {
    echo "gcp-prepare.sh: $*" >&2
    exit 1
}

(($# == 3)) || fail "three arguments are needed: bucket, range that may ssh such as 203.0.113.7/32, zone"
bucket=$1 range=$2 zone=$3 region=${3%-*}
[[ $range =~ ^[0-9.]+/([0-9]+)$ ]] || fail "'$range' is no IPv4 range such as 203.0.113.7/32"
((BASH_REMATCH[1] >= 8)) || fail "'$range' is next to the whole world; name the range that you really come from"
command -v gcloud >/dev/null || fail "'gcloud' is not on PATH; see https://cloud.google.com/sdk"
export CLOUDSDK_CORE_DISABLE_PROMPTS=1

project=$(gcloud config get-value project 2>/dev/null)
[[ -n $project ]] || fail "no project is set; say which: gcloud config set project NAME"
registry=$region-docker.pkg.dev/$project/distal
worker=distal-worker@$project.iam.gserviceaccount.com
head=ray-autoscaler-sa-v1@$project.iam.gserviceaccount.com # the name that Ray 2.60 looks for, and grants its roles

missing() { ! gcloud "$@" >/dev/null 2>&1; }

gcloud services enable compute.googleapis.com iam.googleapis.com cloudresourcemanager.googleapis.com \
    artifactregistry.googleapis.com >&2
if missing storage buckets describe "gs://$bucket"; then
    gcloud storage buckets create "gs://$bucket" --location "$region" --uniform-bucket-level-access \
        --public-access-prevention >&2
fi
if missing artifacts repositories describe distal --location "$region"; then
    gcloud artifacts repositories create distal --location "$region" --repository-format docker >&2
fi

if missing compute networks describe distal; then
    gcloud compute networks create distal --subnet-mode custom >&2
fi
if missing compute networks subnets describe distal --region "$region"; then
    gcloud compute networks subnets create distal --network distal --region "$region" --range 10.77.0.0/20 >&2
fi
if missing compute firewall-rules describe distal-inside; then
    gcloud compute firewall-rules create distal-inside --network distal --allow tcp,udp,icmp \
        --source-tags distal --target-tags distal >&2
fi
if missing compute firewall-rules describe distal-ssh; then
    gcloud compute firewall-rules create distal-ssh --network distal --allow tcp:22 \
        --source-ranges "$range" --target-tags distal >&2
fi

for account in "$worker" "$head"; do
    if missing iam service-accounts describe "$account"; then
        gcloud iam service-accounts create "${account%%@*}" >&2
    fi
    gcloud artifacts repositories add-iam-policy-binding distal --location "$region" \
        --member "serviceAccount:$account" --role roles/artifactregistry.reader >&2
done
gcloud storage buckets add-iam-policy-binding "gs://$bucket" \
    --member "serviceAccount:$worker" --role roles/storage.objectUser >&2

image=$(gcloud compute images list --project deeplearning-platform-release --no-standard-images \
    --filter 'family ~ ^common-cu1[0-9]+-ubuntu-22' --sort-by ~creationTimestamp --limit 1 --format 'value(selfLink)')
[[ -n $image ]] || fail "found no image with docker and a GPU driver; write one into gcp.yaml yourself"

sed -e "s|YOUR_REGION|$region|g" -e "s|YOUR_ZONE|$zone|g" -e "s|YOUR_PROJECT|$project|g" \
    -e "s|YOUR_REGISTRY/|$registry/|g" -e "s|YOUR_IMAGE|$image|g" -e '/^# Ray on Compute/,/^cluster_name/{/^#/d}' \
    "$(dirname "$0")/gcp.yaml"
echo "gcp-prepare.sh: push the image to $registry/distal:0.1.0-ray2.60.0-cuda, storage is gs://$bucket/..." >&2
