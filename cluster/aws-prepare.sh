#!/usr/bin/env bash
# Make, once an account, what cluster/aws.yaml names, and print that file filled in. What exists is left as it is.
#
#     cluster/aws-prepare.sh my-bucket 203.0.113.7/32 > my-aws.yaml
#
# The second argument is who may ssh to the machines: your own address, or your company's range. The region is the one
# that your `aws` is configured for. Makes bucket, image repository, security group and two roles; starts nothing.
set -euo pipefail

fail() {
    echo "aws-prepare.sh: $*" >&2
    exit 1
}

(($# == 2)) || fail "two arguments are needed: the bucket's name and the range that may ssh, such as 203.0.113.7/32"
bucket=$1 range=$2
[[ $range =~ ^[0-9.]+/([0-9]+)$ ]] || fail "'$range' is no IPv4 range such as 203.0.113.7/32"
((BASH_REMATCH[1] >= 8)) || fail "'$range' is next to the whole world; name the range that you really come from"
command -v aws >/dev/null || fail "'aws' is not on PATH; see https://aws.amazon.com/cli/"
export AWS_PAGER=''

account=$(aws sts get-caller-identity --query Account --output text)
region=${AWS_REGION:-$(aws configure get region)}
registry=$account.dkr.ecr.$region.amazonaws.com

aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1 || aws s3 mb "s3://$bucket" --region "$region" >&2
aws ecr describe-repositories --repository-names distal >/dev/null 2>&1 ||
    aws ecr create-repository --repository-name distal --image-tag-mutability IMMUTABLE >&2

vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
subnet=$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" Name=default-for-az,Values=true \
    --query 'Subnets[0].SubnetId' --output text)
[[ $subnet == subnet-* ]] || fail "the region has no default network; write your own subnet and group into aws.yaml"

group=$(aws ec2 describe-security-groups --filters Name=group-name,Values=distal "Name=vpc-id,Values=$vpc" \
    --query 'SecurityGroups[0].GroupId' --output text)
if [[ $group != sg-* ]]; then
    group=$(aws ec2 create-security-group --group-name distal --description 'distal on Ray: ssh from one range' \
        --vpc-id "$vpc" --query GroupId --output text)
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol all --source-group "$group" >&2
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 22 --cidr "$range" >&2
fi

trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},
"Action":"sts:AssumeRole"}]}'
data='{"Effect":"Allow","Action":["s3:ListBucket","s3:GetBucketLocation"],"Resource":"arn:aws:s3:::'$bucket'"},
{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"],
"Resource":"arn:aws:s3:::'$bucket'/*"},
{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},
{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],
"Resource":"arn:aws:ecr:'$region:$account':repository/distal"}'
# The head starts and ends workers: in this region, passing them the worker's role and no other, ending its own alone.
launch='{"Effect":"Allow","Action":["ec2:RunInstances","ec2:CreateTags"],"Resource":"*",
"Condition":{"StringEquals":{"aws:RequestedRegion":"'$region'"}}},
{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"},
{"Effect":"Allow","Action":["ec2:TerminateInstances","ec2:StopInstances"],"Resource":"*",
"Condition":{"StringEquals":{"aws:ResourceTag/ray-cluster-name":"distal"}}},
{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::'$account':role/distal-worker"}'

role() { # name, statements
    if ! aws iam get-instance-profile --instance-profile-name "$1" >/dev/null 2>&1; then
        aws iam create-role --role-name "$1" --assume-role-policy-document "$trust" >&2
        aws iam create-instance-profile --instance-profile-name "$1" >&2
        aws iam add-role-to-instance-profile --instance-profile-name "$1" --role-name "$1" >&2
    fi
    aws iam put-role-policy --role-name "$1" --policy-name distal \
        --policy-document '{"Version":"2012-10-17","Statement":['"$2"']}' >&2
}
role distal-worker "$data"
role distal-head "$data,$launch"
# An account that never asked for a spot machine lacks this role, and the head may not make it.
aws iam create-service-linked-role --aws-service-name spot.amazonaws.com >/dev/null 2>&1 || true

image=$(aws ssm get-parameter --query Parameter.Value --output text --name \
    /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id)

sed -e "s|YOUR_REGION|$region|g" -e "s|YOUR_REGISTRY|$registry|g" -e "s|YOUR_SUBNET|$subnet|g" \
    -e "s|YOUR_GROUP|$group|g" -e "s|YOUR_IMAGE|$image|g" -e '/^# Ray on EC2/,/^cluster_name/{/^#/d}' \
    "$(dirname "$0")/aws.yaml"
echo "aws-prepare.sh: push the image to $registry/distal:0.1.0-ray2.60.0-cuda, storage is s3://$bucket/..." >&2
